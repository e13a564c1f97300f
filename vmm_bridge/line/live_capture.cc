#include "vmm_bridge/line/live_capture.h"

#include <fcntl.h>

#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/base/stream.h"

namespace grl::bridge {

LiveCapture::LiveCapture(asio::io_context& io, Driver& driver, std::string guest,
                         std::function<void(const Error&)> failed)
    : io_(io), driver_(driver), guest_(std::move(guest)), failed_(std::move(failed)) {}

Result<Fd> LiveCapture::open() {
    Result<StreamPair> from_vmm = open_stream_pair();
    if (!from_vmm) return from_vmm.error();
    Result<StreamPair> to_image = open_stream_pair();
    if (!to_image) return to_image.error();
    vmm_ = std::move(from_vmm->vmm);
    width_ = Fd(fcntl(vmm_.get(), F_DUPFD_CLOEXEC, 0));
    auto self = shared_from_this();
    pump_ = std::make_shared<StreamPump>(io_, std::move(from_vmm->bridge), std::move(to_image->vmm),
                                         [self](const Result<Done>& pumped) {
                                             if (!pumped) return self->fail_all(pumped.error());
                                             self->pumped_ = true;
                                             self->settle();
                                         });
    return std::move(to_image->bridge);
}

// ---- copying ----

void LiveCapture::copy(Callback<Done> held) {
    if (!held_.join(std::move(held))) return;
    pump_->start();
    auto self = shared_from_this();
    MigrateOut events;
    events.stays = true;
    events.copied = [self] { self->on_copied(); };
    events.stopped = [self] { self->on_stopped(); };
    events.finished = [self](const Result<std::int64_t>& at) {
        if (!at) return self->fail_all(at.error());
        self->on_stopped();  // if that was not told
        self->all_sent_ = true;
        self->settle();
    };
    driver_.migrate_out(guest_, std::move(vmm_), 0, std::move(events));
}

void LiveCapture::on_copied() {
    if (state_ != State::copying) return;
    state_ = State::held;
    narrow(width_);
    pump_->hold();
    held_.finish(Done{});
}

// ---- stopping ----

void LiveCapture::freeze(Callback<std::int64_t> stopped) {
    if (!stopped_.join(std::move(stopped))) return;
    if (state_ != State::held) {
        return fail_all(fail("stopping guest " + guest_, "", "its memory is not out"));
    }
    state_ = State::stopping;
    stopping_ = true;
    driver_.converge(guest_, [self = shared_from_this()](const Result<Done>& told) {
        if (!told && self->state_ == State::stopping) self->fail_all(told.error());
    });
    // Without waiting: the VMM may stand in the last write of a pass, and answer nothing.
    widen(width_);
    width_.reset();
    pump_->go_on();
}

void LiveCapture::on_stopped() {
    stopping_ = true;
    if (state_ == State::copying || state_ == State::held) {
        return fail_all(fail("capturing guest " + guest_, "",
                             "so little of it was left that its VMM stopped it before the job was "
                             "silent"));
    }
    if (state_ != State::stopping) return;
    state_ = State::stopped;
    stopped_.finish(now_ns());
}

// ---- the end ----

void LiveCapture::finish(Callback<std::int64_t> sent) {
    sent_.join(std::move(sent));
}

// When the VMM has sent it and the image's end has it.
void LiveCapture::settle() {
    if (state_ != State::stopped || !pumped_ || !all_sent_) return;
    state_ = State::sent;
    failed_ = nullptr;
    sent_.finish(now_ns());
}

void LiveCapture::cancel() {
    fail_all(fail("capturing guest " + guest_, "", "the line was aborted"));
}

void LiveCapture::fail_all(const Error& why) {
    if (state_ == State::sent || state_ == State::failed) return;
    const bool unawaited = state_ == State::held;
    state_ = State::failed;
    width_.reset();
    if (pump_) stopping_ ? pump_->discard() : pump_->close();
    auto failed = std::exchange(failed_, nullptr);
    held_.finish(why);
    stopped_.finish(why);
    sent_.finish(why);
    if (failed && unawaited) failed(why);
}

}  // namespace grl::bridge
