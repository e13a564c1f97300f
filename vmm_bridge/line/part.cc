#include "vmm_bridge/line/part.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/base/worker.h"

namespace grl::bridge {

namespace {

constexpr std::chrono::milliseconds kProgressStep{250};
constexpr std::chrono::seconds kHoldLimit{180};  // where the coordinator gives none
constexpr std::chrono::seconds kHoldGrace{30};   // the coordinator ends a hold or a line
constexpr std::chrono::seconds kUndoStep{2};
constexpr std::int64_t kUndoLimit = 60'000;  // ms

std::string label(LineId id) {
    return "line " + std::to_string(id.line) + " of job " + std::to_string(id.job);
}

}  // namespace

LinePart::LinePart(asio::io_context& io, Driver& driver, LineStore store, LineId id, Events events)
    : io_(io),
      driver_(driver),
      store_(std::move(store)),
      id_(id),
      events_(std::move(events)),
      progress_timer_(io),
      hold_timer_(io) {}

void LinePart::add(GuestCapture::Plan plan, std::uint64_t bytes) {
    const std::string guest = plan.header.guest;
    wanted_bytes_ += bytes;
    if (plan.capture != kNoCapture) keeps_images_ = true;
    auto on_durable = [this, weak = weak_from_this(), guest](const WrittenImage& image) {
        if (!weak.lock()) return;
        events_.durable(
            {id_, guest, image.raw_bytes, image.stored_bytes, image.digest, image.durable_at_ns});
        on_settled();
    };
    auto on_failed = [this, weak = weak_from_this(), guest](const std::string& reason) {
        if (!weak.lock()) return;
        events_.failed({id_, guest, reason});
        on_settled();
    };
    guests_.push_back(std::make_shared<GuestCapture>(io_, driver_, std::move(plan),
                                                     GuestCapture::Events{on_durable, on_failed}));
}

bool LinePart::advance(State from, State to) {
    if (state_ != from) return false;
    state_ = to;
    return true;
}

// ---- prepare ----

void LinePart::prepare(Callback<Done> done) {
    if (!prepare_.join(std::move(done))) return;
    auto self = shared_from_this();
    auto end = [self](Result<Done> prepared) {
        if (prepared) self->advance(State::preparing, State::prepared);
        self->prepare_.finish(std::move(prepared));
    };
    run_blocking<Done>(
        io_,
        [store = store_, id = id_, wanted = wanted_bytes_,
         keeps = keeps_images_]() -> Result<Done> {
            if (!keeps) return Done{};
            Result<void> ready = store.prepare(id, wanted);
            if (!ready) return ready.error();
            return Done{};
        },
        [self, end](Result<Done> ready) {
            if (!ready || self->state_ != State::preparing) return end(ready);
            gather_done(
                self->guests_, [](const auto& guest, Callback<Done> d) { guest->prepare(d); }, end);
        });
}

// ---- copy ----

void LinePart::copy(Callback<Done> done) {
    if (!copy_.join(std::move(done))) return;
    if (!advance(State::prepared, State::copying)) {
        return copy_.finish(fail("copying the guests of " + label(id_), "",
                                 "it is not what comes next", ErrorKind::refused));
    }
    report_progress();
    gather_done(
        guests_, [](const auto& guest, Callback<Done> d) { guest->copy(d); },
        [self = shared_from_this()](Result<Done> copied) {
            if (copied) self->advance(State::copying, State::copied);
            self->copy_.finish(std::move(copied));
        });
}

bool LinePart::copies() const {
    return std::any_of(guests_.begin(), guests_.end(),
                       [](const auto& guest) { return guest->copies(); });
}

// ---- freeze ----

void LinePart::freeze(std::chrono::seconds hold, Callback<FrozenLine> done) {
    if (!freeze_.join(std::move(done))) return;
    state_ = State::freezing;
    auto self = shared_from_this();
    hold_timer_.expires_after(hold.count() == 0 ? kHoldLimit : hold + kHoldGrace);
    hold_timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
        auto self = weak.lock();
        if (!ec && self && self->holding_still()) {
            self->abort("its guests stood still for too long", [](Result<Done>) {});
        }
    });
    gather<GuestFrozen>(
        guests_, [](const auto& guest, Callback<GuestFrozen> d) { guest->freeze(d); },
        [self](Result<std::vector<GuestFrozen>> frozen) {
            if (!frozen) return self->freeze_.finish(frozen.error());
            self->advance(State::freezing, State::frozen);
            self->freeze_.finish(FrozenLine{std::move(*frozen)});
        });
}

// ---- capture ----

void LinePart::capture(Callback<CapturedLine> done) {
    if (!capture_.join(std::move(done))) return;
    state_ = State::capturing;
    auto self = shared_from_this();
    report_progress();
    gather<GuestCaptured>(
        guests_, [](const auto& guest, Callback<GuestCaptured> d) { guest->capture(d); },
        [self](Result<std::vector<GuestCaptured>> captured) {
            if (!captured) return self->capture_.finish(captured.error());
            self->advance(State::capturing, State::captured);
            self->capture_.finish(CapturedLine{std::move(*captured)});
        });
}

void LinePart::report_progress() {
    progress_timer_.expires_after(kProgressStep);
    progress_timer_.async_wait([weak = weak_from_this()](boost::system::error_code ec) {
        auto self = weak.lock();
        if (ec || !self || !self->active()) return;
        for (const auto& guest : self->guests_) {
            if (guest->streaming()) self->events_.progress(guest->progress(self->id_));
        }
        self->report_progress();
    });
}

// ---- resume ----

void LinePart::resume(Callback<Done> done) {
    if (!resume_.join(std::move(done))) return;
    state_ = State::resuming;
    auto self = shared_from_this();
    gather_done(
        guests_, [](const auto& guest, Callback<Done> d) { guest->resume(d); },
        [self](Result<Done> resumed) {
            if (resumed && self->advance(State::resuming, State::resumed)) {
                self->hold_timer_.cancel();
                self->on_settled();
            }
            self->resume_.finish(std::move(resumed));
        });
}

void LinePart::on_settled() {
    const bool all = std::all_of(guests_.begin(), guests_.end(),
                                 [](const auto& guest) { return guest->settled(); });
    if (all && advance(State::resumed, State::over)) progress_timer_.cancel();
}

// ---- abort ----

void LinePart::abort(const std::string& reason, Callback<Done> done) {
    if (!abort_.join(std::move(done))) return;
    log_warning(label(id_) + " is aborted here: " + reason);
    state_ = State::aborting;
    abort_reason_ = reason;
    auto self = shared_from_this();
    hold_timer_.cancel();
    progress_timer_.cancel();
    auto undo = [self](Result<Done>) { self->undo(monotonic_ms() + kUndoLimit); };
    // Files that are just being made would be there again after they were removed.
    prepare_.begun() && !prepare_.done() ? (void)prepare_.join(undo) : undo(Done{});
}

// The guests first: each of them, whatever happens to the others.
void LinePart::undo(std::int64_t until_ms) {
    gather_done(
        guests_, [](const auto& guest, Callback<Done> d) { guest->abort(d); },
        [self = shared_from_this(), until_ms](Result<Done> undone) {
            self->on_undone(until_ms, undone);
        });
}

// A guest that could not be let run would stand still until the bridge restarts: once more.
void LinePart::on_undone(std::int64_t until_ms, const Result<Done>& undone) {
    auto self = shared_from_this();
    std::string held;
    for (const auto& guest : guests_) {
        if (guest->held()) held += " " + guest->guest();
    }
    if (!undone && !held.empty() && monotonic_ms() < until_ms) {
        log_warning(label(id_) + ", again soon: " + undone.error().text());
        hold_timer_.expires_after(kUndoStep);
        hold_timer_.async_wait(
            [self, until_ms](boost::system::error_code) { self->undo(until_ms); });
        return;
    }
    if (!held.empty()) log_error(label(id_) + " is aborted, but these stay paused:" + held);
    discard([self, undone](Result<Done> discarded) {
        self->state_ = State::aborted;
        if (!undone) log_error(undone.error().text());
        self->abort_.finish(undone ? discarded : undone);
    });
}

void LinePart::discard(Callback<Done> done) {
    run_blocking<Done>(
        io_,
        [store = store_, id = id_, names = guests(), keeps = keeps_images_]() -> Result<Done> {
            if (!keeps) return Done{};
            Result<void> gone = store.discard(id, names);
            // A hold that ends badly has kept its line.
            if (!gone && gone.error().kind != ErrorKind::refused) return gone.error();
            return Done{};
        },
        std::move(done));
}

bool LinePart::holds(const std::string& guest) const {
    return std::any_of(guests_.begin(), guests_.end(),
                       [&](const auto& g) { return g->guest() == guest; });
}

std::vector<std::string> LinePart::guests() const {
    std::vector<std::string> names;
    for (const auto& guest : guests_) names.push_back(guest->guest());
    return names;
}

}  // namespace grl::bridge
