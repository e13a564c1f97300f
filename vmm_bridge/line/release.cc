// How a line lets go of one guest: it runs again, and after an abort its capture is over.
#include <algorithm>
#include <boost/asio/steady_timer.hpp>

#include "grl/base/log.h"
#include "vmm_bridge/line/guest_capture.h"

namespace grl::bridge {

namespace {

constexpr std::chrono::seconds kWriterLimit{5};

void join_within(asio::io_context& io, Act<Done>& act, Callback<Done> done) {
    auto once = std::make_shared<Act<Done>>();
    once->join(std::move(done));
    auto timer = std::make_shared<asio::steady_timer>(io, kWriterLimit);
    timer->async_wait([once](boost::system::error_code ec) {
        if (!ec) once->finish(fail("aborting a line", "", "the storage does not answer"));
    });
    act.join([once, timer](Result<Done>) {
        timer->cancel();
        once->finish(Done{});
    });
}

}  // namespace

void GuestCapture::resume(Callback<Done> done) {
    driver_.resume(guest(), [self = shared_from_this(), done](Result<Done> resumed) {
        if (!resumed) return done(std::move(resumed));
        self->frozen_ = false;
        self->driver_.attach_devices(self->guest(), done);
    });
}

void GuestCapture::abort(Callback<Done> done) {
    aborted_ = true;
    streaming_ = false;
    plan_.memory.reset();
    ++attempt_;
    if (live_) live_->cancel();
    if (writer_) writer_->cancel(fail("writing an image", plan_.path, "the line was aborted"));
    await_retreat([self = shared_from_this(), done](Result<Done>) {
        self->free_guest([self, done](Result<Done> freed) {
            self->writer_.reset();
            self->await_writers([freed, done](Result<Done> ended) { done(freed ? ended : freed); });
        });
    });
}

void GuestCapture::free_guest(Callback<Done> done) {
    if (!is_here()) return done(Done{});
    driver_.cancel(guest(), [self = shared_from_this(), done](Result<Done> cancelled) {
        if (!cancelled) log_warning(cancelled.error().text());
        if (!self->frozen_ || !self->is_here()) return done(Done{});
        self->resume([self, done](Result<Done> resumed) {
            // It may have died meanwhile; then nothing of it has to be undone.
            if (!resumed && self->is_here()) return done(resumed);
            done(Done{});
        });
    });
}

// Nothing is awaited for longer than the storage may take.
void GuestCapture::await_retreat(Callback<Done> done) {
    if (!retreat_.begun() || retreat_.done()) return done(Done{});
    join_within(io_, retreat_, std::move(done));
}

// Its files can be removed for good only when nobody writes them any more.
void GuestCapture::await_writers(Callback<Done> done) {
    gather_done(
        written_,
        [this](const auto& written, Callback<Done> one) { join_within(io_, *written, one); },
        std::move(done));
}

bool GuestCapture::is_here() const {
    const auto guests = driver_.list();
    return std::any_of(guests.begin(), guests.end(), [this](const GuestView& view) {
        return view.definition.name == guest() &&
               (view.state == GuestState::running || view.state == GuestState::paused);
    });
}

}  // namespace grl::bridge
