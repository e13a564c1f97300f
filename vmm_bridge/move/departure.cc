#include "vmm_bridge/move/departure.h"

#include <fcntl.h>

#include "grl/base/log.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/stream.h"

namespace grl::bridge {

namespace {

constexpr std::chrono::seconds kConnectLimit{10};
constexpr std::chrono::milliseconds kReportEvery{250};

}  // namespace

GuestDeparture::GuestDeparture(asio::io_context& io, Driver& driver, SendGuest order,
                               Progress progress)
    : io_(io),
      driver_(driver),
      order_(std::move(order)),
      progress_(std::move(progress)),
      timer_(io) {
    timer_.expires_after(kConnectLimit);
    timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec && state_ == State::waiting) {
            drop("no connection to the other host", [](Result<Done>) {});
        }
    });
}

// ---- copying ----

void GuestDeparture::start(OpenedStream stream) {
    if (state_ != State::waiting) return;
    Result<Fd> network = move_stream(std::move(stream), SealedEnd::sender, order_.encrypted);
    if (!network) return drop(network.error().text(), [](Result<Done>) {});
    state_ = State::copying;
    auto self = shared_from_this();
    Result<StreamPair> pair = open_stream_pair();
    if (!pair) return drop(pair.error().text(), [](Result<Done>) {});
    width_ = Fd(fcntl(pair->vmm.get(), F_DUPFD_CLOEXEC, 0));
    pump_ = std::make_shared<StreamPump>(io_, std::move(pair->bridge), std::move(*network),
                                         [self](Result<Done> r) { self->on_pumped(r); });
    pump_->start();
    report();
    driver_.migrate_out(order_.guest, std::move(pair->vmm),
                        static_cast<std::uint64_t>(order_.limit_mib_s) << 20,
                        {[self] { self->on_copied(); }, [self] { self->on_stopped(); },
                         [self](Result<std::int64_t> at) { self->on_sent(at); }});
}

// What the guest has written is left, and stays so until it stands still.
void GuestDeparture::on_copied() {
    if (state_ != State::copying) return;
    state_ = State::held;
    narrow(width_);
    pump_->hold();
    copied_.finish(Precopied{false, sent_bytes()});
}

// Too little was left to hold it back, or it was told to.
void GuestDeparture::on_stopped() {
    widen(width_);
    width_.reset();
    pump_->go_on();  // a VMM that cannot write now answers nothing
    if (state_ != State::copying && state_ != State::held) return;
    state_ = State::switching;
    MoveProgress news{order_.move, sent_bytes(), 0, 0, 0};
    news.stopped = true;
    progress_(news);
}

void GuestDeparture::report() {
    timer_.expires_after(kReportEvery);
    timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
        auto self = weak.lock();
        if (ec || !self || self->state_ >= State::switching) return;
        self->driver_.ask_migration(self->order_.guest, [self](Result<MigrationFacts> facts) {
            if (facts && self->state_ < State::switching) {
                self->progress_({self->order_.move, self->sent_bytes(), facts->left_bytes,
                                 facts->dirty_bytes_s, facts->passes});
            }
            self->report();
        });
    });
}

// ---- switching ----

void GuestDeparture::switch_over(Callback<Switched> done) {
    if (!switched_.join(std::move(done))) return;
    if (state_ == State::switching) return;  // the VMM was quicker
    if (state_ != State::held) {
        return switched_.finish(fail("sending guest " + order_.guest, "",
                                     reason_.empty() ? "its first pass is not over" : reason_,
                                     ErrorKind::refused));
    }
    state_ = State::switching;
    auto check = [self = shared_from_this()](const Result<Done>& told) {
        if (self->state_ != State::switching || told) return;
        self->drop(told.error().text(), [](Result<Done>) {});
    };
    driver_.detach_devices(order_.guest,
                           [this, self = shared_from_this(), check](Result<Done> out) {
                               if (!out || state_ != State::switching) return check(out);
                               driver_.converge(order_.guest, check);
                           });
    // Without waiting: the VMM may stand in the last write of a pass, and answer nothing.
    widen(width_);
    width_.reset();
    pump_->go_on();
}

void GuestDeparture::on_sent(const Result<std::int64_t>& at) {
    width_.reset();
    if (!at) return drop(at.error().text(), [](Result<Done>) {});
    stopped_at_ns_ = *at;
    if (state_ < State::switching) state_ = State::switching;
    pump_->go_on();
    settle_moved();
}

void GuestDeparture::on_pumped(const Result<Done>& pumped) {
    if (!pumped) return drop(pumped.error().why, [](Result<Done>) {});
    pumped_ = true;
    settle_moved();
}

// When the VMM has sent it and the network has it.
void GuestDeparture::settle_moved() {
    if (!stopped_at_ns_ || !pumped_ || state_ != State::switching) return;
    state_ = State::moved;
    timer_.cancel();
    log_info("guest " + order_.guest + " is sent: " + std::to_string(sent_bytes() >> 20) +
             " MiB; it stands still here");
    copied_.finish(Precopied{true, sent_bytes()});
    switched_.join([](const Result<Switched>&) {});
    switched_.finish(Switched{*stopped_at_ns_, sent_bytes()});
}

// ---- back ----

void GuestDeparture::drop(const std::string& reason, Callback<Done> done) {
    auto self = shared_from_this();
    if (!drop_.join(std::move(done))) return;
    const bool stopped = state_ == State::switching;
    state_ = State::dropping;
    reason_ = reason;
    log_warning("guest " + order_.guest + " is not moved: " + reason);
    timer_.cancel();
    width_.reset();
    if (pump_) stopped ? pump_->discard() : pump_->close();
    const Error why = fail("sending guest " + order_.guest, "", reason);
    copied_.finish(why);
    switched_.finish(why);
    driver_.cancel(order_.guest, [self](Result<Done>) { self->let_run(); });
}

void GuestDeparture::let_run() {
    bridge::let_run(driver_, order_.guest, [self = shared_from_this()](Result<Done> resumed) {
        self->state_ = State::dropped;
        if (!resumed) log_error(resumed.error().text());
        self->drop_.finish(std::move(resumed));
    });
}

}  // namespace grl::bridge
