#include "vmm_bridge/qemu/capture.h"

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"

namespace grl::bridge {

namespace {

constexpr const char* kStreamName = "grl-capture";
constexpr Milliseconds kCutLimit{25 * 3'600'000};     // above any deadline of the coordinator's
constexpr Milliseconds kStreamLimit{25 * 3'600'000};  // above any deadline of the coordinator's
constexpr Milliseconds kSettleLimit{10'000};

}  // namespace

QemuCapture::QemuCapture(std::shared_ptr<QemuGuest> guest, CaptureMethod method, Handlers handlers)
    : guest_(std::move(guest)),
      method_(method),
      handlers_(std::move(handlers)),
      deadline_(guest_->io()) {}

void QemuCapture::start(Fd stream) {
    auto self = shared_from_this();
    guest_->watch([self](const Result<QmpEvent>& event) { self->on_event(event); });
    arm(kCutLimit, "QEMU did not cut in time");
    // Both at once: a round trip less while the guest stands still.
    guest_->command(
        "getfd", {{"fdname", kStreamName}},
        [self](Result<json::value> reply) {
            if (!reply) self->end(reply.error());
        },
        std::move(stream));
    guest_->command("migrate", {{"uri", std::string("fd:") + kStreamName}},
                    [self](Result<json::value> reply) {
                        if (!reply) self->end(reply.error());
                    });
}

void QemuCapture::on_event(const Result<QmpEvent>& event) {
    if (!event) return end(event.error());
    if (event->name == "MIGRATION") return on_migration(*event);
    if (event->name == "RESUME" && method_ == CaptureMethod::background && !cut_) {
        guest_->set_state(GuestState::running);
        cut(event->at_ns);
        arm(kStreamLimit, "QEMU did not end its stream in time");
    }
}

void QemuCapture::on_migration(const QmpEvent& event) {
    const std::string status = text_in(event.data, "status");
    if (status == "completed") return completed(event);
    if (status == "failed" || status == "cancelled") return failed(status);
}

void QemuCapture::cut(std::int64_t at_ns) {
    cut_ = true;
    auto self = shared_from_this();
    handlers_.captured(at_ns);
    if (cancelling_ && method_ == CaptureMethod::background) cancelling_->finish(Done{});
}

void QemuCapture::completed(const QmpEvent& event) {
    auto self = shared_from_this();
    if (method_ == CaptureMethod::background) {
        if (!cut_)
            return end(fail("capturing", "", "QEMU completed without letting the guest run"));
        return end(Done{});
    }
    // QEMU says completed before it enters "postmigrate", and a guest that is let run in between
    // makes it abort.
    guest_->await_status({"postmigrate"}, [self, at = event.at_ns](Result<std::string> status) {
        if (self->ended_) return;
        if (!status) return self->end(status.error());
        self->cut(at);
        self->end(Done{});
    });
}

void QemuCapture::failed(const std::string& status) {
    if (cancelling_)
        return end(fail("capturing guest " + guest_->definition().name, "", "cancelled"));
    auto self = shared_from_this();
    guest_->command("query-migrate", {}, [self, status](Result<json::value> reply) {
        std::string why = "QEMU's migration has " + status;
        if (reply && reply->is_object()) {
            if (const json::value* text = reply->get_object().if_contains("error-desc");
                text && text->is_string()) {
                why += ": " + std::string(text->get_string());
            }
        }
        self->end(fail("capturing guest " + self->guest_->definition().name, "", why));
    });
}

void QemuCapture::end(Result<Done> outcome) {
    if (ended_) return;
    ended_ = true;
    auto self = shared_from_this();
    deadline_.cancel();
    guest_->watch({});
    if (!cut_ && outcome.has_error()) handlers_.captured(outcome.error());
    handlers_.finished(outcome);
    handlers_ = {};
    if (cancelling_) cancelling_->finish(Done{});
    end_.finish(Done{});
}

void QemuCapture::cancel(Callback<Done> done) {
    const bool background = method_ == CaptureMethod::background;
    if (ended_ || (cut_ && background)) return done(Done{});
    if (!cancelling_) cancelling_.emplace();
    if (!cancelling_->join(std::move(done)) || background) return;
    arm(kSettleLimit, "it was cancelled, but QEMU did not settle");
    guest_->command("migrate_cancel", {}, [self = shared_from_this()](Result<json::value> reply) {
        if (!reply) self->end(reply.error());
    });
}

void QemuCapture::arm(Milliseconds limit, const char* what) {
    deadline_.expires_after(limit);
    deadline_.async_wait([self = shared_from_this(), what](boost::system::error_code ec) {
        if (!ec) self->end(fail("capturing guest " + self->guest_->definition().name, "", what));
    });
}

}  // namespace grl::bridge
