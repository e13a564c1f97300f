#include "vmm_bridge/qemu/migration.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr const char* kMoveStream = "grl-move";
constexpr Milliseconds kMoveLimit{25 * 3'600'000};  // above any deadline of the coordinator's
constexpr Milliseconds kCancelLimit{10'000};
constexpr std::uint64_t kFast = 1ULL << 40;                    // bytes a second: as fast as we read
constexpr std::uint64_t kAlmostNothing = 4096;                 // 0 would be no limit
constexpr int kNone = 0, kShortest = 1, kLongest = 2'000'000;  // ms of downtime
constexpr Milliseconds kPollStep{5};
constexpr std::uint64_t kNearly = 8U << 20;  // bytes left of the first pass, at least
constexpr std::uint64_t kNearlyShare = 16;   // or this share of all
constexpr int kFirstOfTheRest = 2;           // pass

std::uint64_t number_in(const json::object& object, const char* key) {
    const json::value* value = object.if_contains(key);
    return value && value->is_number() ? value->to_number<std::uint64_t>() : 0;
}

}  // namespace

QemuMigration::QemuMigration(std::shared_ptr<QemuGuest> guest, MigrateOut events)
    : guest_(std::move(guest)),
      events_(std::move(events)),
      one_pass_(guest_->section().accel == "tcg"),
      whole_(guest_->definition().adapters > 0),
      deadline_(guest_->io()),
      poll_(guest_->io()) {}

Error QemuMigration::error(const std::string& why) const {
    return fail("sending guest " + guest_->definition().name, "", why);
}

void QemuMigration::start(Fd stream, std::uint64_t limit_bytes_s) {
    if (ended_) return;  // cancelled while it waited
    started_ = true;
    auto self = shared_from_this();
    events_.stays ? guest_->mark_frozen(true) : guest_->mark_moving(true);
    deadline_.expires_after(kMoveLimit);
    deadline_.async_wait([self](boost::system::error_code ec) {
        if (!ec) self->end(self->error("QEMU did not send it in time"));
    });
    limit_bytes_s_ = limit_bytes_s ? limit_bytes_s : kFast;
    if (!whole_) return begin(std::move(stream));
    stream_ = std::move(stream);
    asio::post(guest_->io(), [self] {
        if (!self->ended_) self->copied();
    });
}

// All at once: the guest stands still for no round trip more than it must.
void QemuMigration::begin(Fd stream) {
    auto self = shared_from_this();
    guest_->watch([self](const Result<QmpEvent>& event) { self->on_event(event); });
    auto good = [self](Result<json::value> reply) {
        if (!reply) self->end(reply.error());
    };
    const bool crawls = one_pass_ && !whole_;
    // It stands still for long: a bridge that finds it so lets it run.
    if (whole_) guest_->mark_frozen(true);
    if (crawls) runs_ = false;
    if (crawls || whole_) guest_->command("stop", {}, good);
    // The pass of a small guest would be over before it runs again.
    guest_->command("migrate-set-parameters",
                    {{"max-bandwidth", crawls ? kAlmostNothing : limit_bytes_s_},
                     {"downtime-limit", one_pass_ ? kNone : kShortest}},
                    good);
    guest_->command("getfd", {{"fdname", kMoveStream}}, good, std::move(stream));
    guest_->command("migrate", {{"uri", std::string("fd:") + kMoveStream}}, good);
}

void QemuMigration::on_event(const Result<QmpEvent>& event) {
    if (!event) return end(event.error());
    if (event->name == "MIGRATION_PASS") {
        on_pass(number_in(event->data, "pass"));
    } else if (event->name == "RESUME") {
        runs_ = true;
    } else if (event->name == "STOP") {
        if (!runs_) return;  // by us, to set up the marks
        stopped_ = true;
        if (events_.stays) guest_->set_state(GuestState::paused);
        if (events_.stopped) events_.stopped();
    } else if (event->name == "MIGRATION") {
        const std::string status = text_in(event->data, "status");
        if (status == "completed") return completed();
        if (status == "failed" || status == "cancelled") return failed(status);
    }
}

void QemuMigration::on_pass(std::uint64_t pass) {
    if (!one_pass_ && pass == kFirstOfTheRest) return copied();
    if (!one_pass_ || runs_ || pass != 1) return;
    guest_->command("cont", {}, [self = shared_from_this()](Result<json::value> reply) {
        if (!reply) return self->end(reply.error());
        self->poll();
    });
    guest_->command("migrate-set-parameters", {{"max-bandwidth", limit_bytes_s_}},
                    [self = shared_from_this()](Result<json::value> reply) {
                        if (!reply) self->end(reply.error());
                    });
}

void QemuMigration::poll() {
    ask(guest_, [self = shared_from_this()](Result<MigrationFacts> facts) {
        if (self->ended_ || self->copied_ || !facts) return;
        const std::uint64_t all = self->guest_->definition().memory_mib << 20;
        const bool begun = facts->passes > 0;
        if (begun && facts->left_bytes <= std::max(kNearly, all / kNearlyShare)) {
            return self->copied();
        }
        self->poll_.expires_after(kPollStep);
        self->poll_.async_wait([self](boost::system::error_code ec) {
            if (!ec) self->poll();
        });
    });
}

void QemuMigration::copied() {
    if (!std::exchange(copied_, true) && events_.copied) events_.copied();
}

// QEMU says completed before it enters "postmigrate", and a guest that is let run in between makes
// it abort.
void QemuMigration::completed() {
    guest_->await_status({"postmigrate"}, [self = shared_from_this()](Result<std::string> status) {
        if (self->ended_) return;
        if (!status) return self->end(status.error());
        self->guest_->set_state(self->events_.stays ? GuestState::paused : GuestState::moved);
        self->end(self->guest_->stopped_at_ns());
    });
}

void QemuMigration::failed(const std::string& status) {
    if (cancelling_) return end(error("cancelled"));
    guest_->command("query-migrate", {},
                    [self = shared_from_this(), status](Result<json::value> reply) {
                        std::string why = "QEMU's migration has " + status;
                        const std::string more = reply ? text_in(*reply, "error-desc") : "";
                        self->end(self->error(more.empty() ? why : why + ": " + more));
                    });
}

void QemuMigration::end(Result<std::int64_t> outcome) {
    if (std::exchange(ended_, true)) return;
    auto self = shared_from_this();
    deadline_.cancel();
    poll_.cancel();
    if (started_ && !stream_) guest_->watch({});
    // A capture wants it as fast as it goes.
    guest_->command("migrate-set-parameters", {{"max-bandwidth", kFast}},
                    [](Result<json::value>) {});
    auto events = std::exchange(events_, {});
    if (events.finished) events.finished(std::move(outcome));
    if (cancelling_) cancelling_->finish(Done{});
}

void QemuMigration::cancel(Callback<Done> done) {
    if (ended_) return done(Done{});
    if (!cancelling_) cancelling_.emplace();
    if (!cancelling_->join(std::move(done))) return;
    if (!started_) return end(error("cancelled"));
    auto self = shared_from_this();
    deadline_.expires_after(kCancelLimit);
    deadline_.async_wait([self](boost::system::error_code ec) {
        if (!ec) self->end(self->error("it was cancelled, but QEMU did not settle"));
    });
    if (stream_) return end(error("cancelled"));
    // It is about to end, into nowhere (stream_pump.h).
    if (stopped_ && !whole_) return;
    guest_->command("migrate_cancel", {}, [self](Result<json::value> reply) {
        if (!reply) self->end(reply.error());
    });
}

void QemuMigration::converge(Callback<Done> done) {
    if (stream_) {
        limit_bytes_s_ = kFast;
        begin(std::move(stream_));
        return asio::post(guest_->io(), [done = std::move(done)] { done(Done{}); });
    }
    guest_->command("migrate-set-parameters",
                    {{"max-bandwidth", kFast}, {"downtime-limit", one_pass_ ? kNone : kLongest}},
                    [done = std::move(done)](Result<json::value> reply) {
                        if (!reply) return done(reply.error());
                        done(Done{});
                    });
}

void QemuMigration::ask(const std::shared_ptr<QemuGuest>& guest, Callback<MigrationFacts> done) {
    guest->command("query-migrate", {}, [done = std::move(done)](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        const json::value* ram =
            reply->is_object() ? reply->get_object().if_contains("ram") : nullptr;
        if (!ram || !ram->is_object()) return done(MigrationFacts{});
        const json::object& r = ram->get_object();
        done(MigrationFacts{number_in(r, "remaining"),
                            number_in(r, "dirty-pages-rate") * number_in(r, "page-size"),
                            static_cast<std::uint32_t>(number_in(r, "dirty-sync-count"))});
    });
}

}  // namespace grl::bridge
