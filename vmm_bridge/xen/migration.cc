#include "vmm_bridge/xen/migration.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstdlib>

#include "grl/base/log.h"
#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kSendLimit{25 * 3'600'000};  // above any deadline of the coordinator's
constexpr std::uint64_t kFramesInMib = 256;
constexpr std::uint64_t kFrameBytes = 4096;
constexpr std::uint64_t kFewFrames = 8 * kFramesInMib;
constexpr std::string_view kPassWords = "iteration ";

}  // namespace

bool nearly_copied(unsigned long frames_done, unsigned long frames) {
    return frames_done + kFewFrames >= frames;
}

XenMigration::XenMigration(std::shared_ptr<XenGuest> guest, MigrateOut events)
    : guest_(std::move(guest)), events_(std::move(events)) {}

void XenMigration::start(Fd stream) {
    stream_ = std::move(stream);
    guest_->examine("sending", [self = shared_from_this()](Result<Done> ready) {
        if (self->ended_) return;
        if (self->cancelled_) return self->end(fail("sending", "", "cancelled"));
        if (!ready) return self->end(ready.error());
        self->live_ = self->guest_->can_go_live();
        if (self->live_) return self->send();
        log_warning("guest " + self->guest_->definition().name +
                    " stands still while it is sent: " + self->guest_->why_not_live());
        self->frames_left_ = self->guest_->definition().memory_mib * kFramesInMib;
        self->copied();
    });
}

void XenMigration::send() {
    sending_ = true;
    auto self = shared_from_this();
    guest_->watch_suspension([self] {
        if (!self->ended_ && self->events_.stopped) self->events_.stopped();
    });
    guest_->context().log().watch_progress([weak = weak_from_this()](const std::string& what,
                                                                     unsigned long done,
                                                                     unsigned long total) {
        auto migration = weak.lock();
        if (!migration) return;
        // libxenlight stands in the call that tells this.
        asio::post(migration->guest_->io(),
                   [migration, what, done, total] { migration->on_progress(what, done, total); });
    });
    auto save = [self](Result<std::int64_t> stopped) {
        if (!stopped) return self->end(stopped.error());
        if (self->cancelled_) return self->end(fail("sending", "", "cancelled"));
        std::make_shared<XenSave>(self->guest_)
            ->start("sending", std::move(self->stream_), kSendLimit,
                    [self](const Result<Done>& saved) { self->sent(saved); });
    };
    live_ ? save(std::int64_t{0}) : guest_->freeze(save);
}

void XenMigration::on_progress(const std::string& what, unsigned long done, unsigned long total) {
    if (ended_) return;
    const std::size_t at = what.find(kPassWords);
    if (at == std::string::npos) return;
    pass_ = static_cast<std::uint32_t>(
        std::strtoul(what.c_str() + at + kPassWords.size(), nullptr, 10));
    const std::uint64_t memory_mib = guest_->definition().memory_mib;
    const std::uint64_t all = pass_ == 0 ? memory_mib * kFramesInMib : total;
    frames_left_ = all - std::min<std::uint64_t>(all, done);
    if (pass_ > 0 || nearly_copied(done, total)) copied();
}

void XenMigration::copied() {
    if (std::exchange(copied_, true)) return;
    if (sending_) guest_->context().hold();
    if (events_.copied) events_.copied();
}

void XenMigration::converge() {
    if (ended_) return;
    sending_ ? guest_->context().go_on() : send();
}

void XenMigration::sent(const Result<Done>& saved) {
    if (!saved) return end(saved.error());
    // Its event may still be on its way.
    if (!guest_->look()) {
        return end(fail("sending guest " + guest_->definition().name, "",
                        "libxenlight has sent it, but it is not suspended"));
    }
    events_.stays ? guest_->set_state(GuestState::paused) : guest_->set_moved();
    end(guest_->stopped_at_ns());
}

void XenMigration::end(Result<std::int64_t> outcome) {
    if (std::exchange(ended_, true)) return;
    auto self = shared_from_this();
    guest_->watch_suspension({});
    guest_->context().log().watch_progress({});
    guest_->context().go_on();
    stream_.reset();
    auto events = std::exchange(events_, {});
    if (events.finished) events.finished(std::move(outcome));
}

void XenMigration::cancel(Callback<Done> done) {
    cancelled_ = true;
    guest_->stop_act("cancelled", [self = shared_from_this(), done](Result<Done>) {
        self->end(fail("sending guest " + self->guest_->definition().name, "", "cancelled"));
        done(Done{});
    });
}

MigrationFacts XenMigration::facts() const {
    return {frames_left_ * kFrameBytes, 0, pass_};
}

}  // namespace grl::bridge
