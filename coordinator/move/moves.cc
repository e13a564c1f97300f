#include "coordinator/move/moves.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/wire/credential.h"

namespace grl::coordinator {

namespace {

constexpr std::chrono::seconds kWatchEvery{2};

}  // namespace

std::string Moves::room_owner(const std::string& guest) {
    return "move of guest " + guest;
}

Error move_refusal(const std::string& guest, const std::string& why) {
    return fail("moving guest " + guest, "", why, ErrorKind::refused);
}

Moves::Moves(Parts parts, Lines& lines) : parts_(parts), lines_(lines), watch_(parts.io) {
    struct Known {
        std::vector<MoveReport> moves;
        std::vector<std::string> closed;
    };
    auto read = [](Catalog& c) -> Result<Known> {
        auto moves = c.moves(0);
        if (!moves) return moves.error();
        auto closed = c.closed();
        if (!closed) return closed.error();
        return Known{std::move(*moves), std::move(*closed)};
    };
    parts_.store.run(read, [this, life = std::weak_ptr(self_)](const Result<Known>& known) {
        if (life.expired()) return;
        known_ = true;
        if (!known) return log_error(known.error().text());
        for (const std::string& host : known->closed) parts_.room.close(host);
        for (const MoveReport& move : known->moves) {
            if (move.open) trips_[move.guest] = move;
        }
        settle();
    });
    watch();
}

void Moves::watch() {
    watch_.expires_after(kWatchEvery);
    watch_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        settle();
        watch();
    });
}

// ---- one ----

void Moves::move(const std::string& guest, const std::string& host, const std::string& cause,
                 Watcher<MoveReport> watcher) {
    waiting_.push_back({guest, host, cause, std::move(watcher)});
    next();
}

void Moves::stop() {
    stopping_ = true;
    for (const Ask& ask : std::exchange(waiting_, {})) {
        ask.watcher.done(
            move_refusal(ask.guest, "the coordinator ends; ask again when it is back"));
    }
}

void Moves::next() {
    while (!stopping_ && !waiting_.empty() &&
           under_way_.size() < parts_.config.coordinator.moves_at_once) {
        Ask ask = std::move(waiting_.front());
        waiting_.pop_front();
        begin(std::move(ask));
    }
}

void Moves::begin(Ask ask) {
    auto refuse = [&](const std::string& why) {
        // Not from inside the call: the asker may ask again.
        asio::post(parts_.io,
                   [done = ask.watcher.done, e = move_refusal(ask.guest, why)] { done(e); });
    };
    if (under_way_.count(ask.guest)) return refuse("it is on its way already");
    auto home = parts_.hosts.home_of(ask.guest);
    if (!home) return refuse(home.error().why);
    if ((*home)->name == ask.host) return refuse("it is on " + ask.host);
    auto to = choose(ask, **home, job_on(ask.guest));
    if (!to) return refuse(to.error().why);
    under_way_[ask.guest] = (*to)->name;
    parts_.room.take(room_owner(ask.guest), {{ask.guest, (*to)->name}});
    MoveReport report;
    report.guest = ask.guest;
    report.from = (*home)->name;
    report.to = (*to)->name;
    report.cause = ask.cause;
    report.line.requested_at_ns = wall_ns();
    // With both hosts, before anything is sent: the next coordinator must know where it may be.
    auto note = [report, keep = parts_.config.coordinator.keep_moves](
                    Catalog& c) mutable -> Result<MoveReport> {
        auto number = c.take_move();
        if (!number) return number.error();
        report.move = *number;
        auto put = c.put_move(report, keep);
        if (!put) return put.error();
        return report;
    };
    parts_.store.run(
        note, [this, life = std::weak_ptr(self_), ask = std::move(ask)](Result<MoveReport> noted) {
            if (life.expired()) return;
            if (!noted) {
                return ended(ask.guest, move_refusal(ask.guest, noted.error().text()), ask.watcher);
            }
            depart(ask, *noted);
        });
}

void Moves::depart(const Ask& ask, const MoveReport& report) {
    trips_[ask.guest] = report;
    const Host* from = parts_.hosts.find(report.from);
    const Host* to = parts_.hosts.find(report.to);
    if (!from->connected() || !to->connected()) {
        MoveReport broken = report;
        broken.line.phase = Phase::aborted;
        broken.line.reason = "host " + (from->connected() ? to : from)->name + " is away";
        return ended(ask.guest, broken, ask.watcher);
    }
    MoveOrder order;
    order.move = report.move;
    order.guest = ask.guest;
    order.token = make_nonce();
    order.from = {from->name, from->channel, {}, {}, {}};
    order.to = {to->name, to->channel, {}, {}, {}};
    order.limit_mib_s = parts_.config.coordinator.move_limit_mib_s;
    order.encrypted = parts_.config.coordinator.encrypt_moves;
    order.cause = ask.cause;
    order.note = [this, guest = ask.guest](std::function<void(Result<void>)> then) {
        MoveReport& trip = trips_[guest];
        trip.given = true;
        // A restore looks for the guest there, too.
        parts_.store.run(
            [trip, keep = parts_.config.coordinator.keep_moves](Catalog& c) -> Result<void> {
                auto put = c.put_move(trip, keep);
                return put ? c.put_place(trip.guest, trip.to) : put;
            },
            std::move(then));
    };
    log_info("move " + std::to_string(report.move) + ": guest " + ask.guest + " goes from " +
             from->name + " to " + to->name + " (" + ask.cause + ")");
    set_out(job_on(ask.guest), std::move(order),
            {ask.watcher.progress, [this, ask](const Result<MoveReport>& outcome) {
                 ended(ask.guest, outcome, ask.watcher);
             }});
}

// After the run of the job that is under way, if any; refused while it is held or restored.
void Moves::set_out(std::uint32_t job, MoveOrder order, Watcher<MoveReport> watcher) {
    if (job == 0) return set_out_alone(std::move(order), std::move(watcher));
    auto refuse = [&](const std::string& why) {
        watcher.done(move_refusal(order.guest, "job " + std::to_string(job) + ": " + why));
    };
    if (const std::string why = lines_.held_off(job); !why.empty()) return refuse(why);
    if (const auto run = lines_.of(job)) {
        if (run->joining() == Joining::refused) return refuse("it is held");
        return lines_.when_idle(job, [this, job, order, watcher] { set_out(job, order, watcher); });
    }
    const std::uint32_t move = order.move;
    const auto run = std::make_shared<MoveRun>(lines_.setting(), job, std::move(order),
                                               lines_.hooks(job), watcher.progress);
    runs_[move] = run;
    lines_.begin(job, run,
                 [this, move, run = run.get(), done = watcher.done](const LineReport&,
                                                                    Result<LineReport> outcome) {
                     runs_.erase(move);
                     done(run->move_report());
                     return outcome;
                 });
}

// Of a guest without a job: there is nobody to admit it, and none to fall silent.
void Moves::set_out_alone(MoveOrder order, Watcher<MoveReport> watcher) {
    const std::uint32_t move = order.move;
    JobHooks hooks;
    hooks.admit = [move](const Shape&, const auto& then) {
        LineOrder alone;
        alone.id.line = move;
        then(alone);
    };
    hooks.ended = [this, move, done = watcher.done](const LineReport&, const Manifest*) {
        const auto run = runs_[move];
        runs_.erase(move);
        lines_.drop(run);
        done(run->move_report());
    };
    const auto run = std::make_shared<MoveRun>(lines_.setting(), 0, std::move(order),
                                               std::move(hooks), watcher.progress);
    runs_[move] = run;
    lines_.begin_alone(run);
}

void Moves::progress(const MoveProgress& progress) {
    const auto it = runs_.find(progress.move);
    if (it != runs_.end()) it->second->move_progress(progress);
}

void Moves::ended(const std::string& guest, const Result<MoveReport>& outcome,
                  const Watcher<MoveReport>& watcher) {
    under_way_.erase(guest);
    parts_.room.free(room_owner(guest));
    MoveReport report = outcome ? *outcome : trips_[guest];
    report.given = report.given || trips_[guest].given;
    if (!outcome) {
        report.line.phase = Phase::aborted;
        report.line.reason = outcome.error().why;
    }
    if (report.move != 0) {
        trips_[guest] = report;  // until it is seen to be on one host alone
        parts_.store.note([report, keep = parts_.config.coordinator.keep_moves](Catalog& c) {
            return c.put_move(report, keep);
        });
    } else {
        trips_.erase(guest);
    }
    watcher.done(outcome);
    settle();
    next();
}

// The job whose step runs on it and can be brought to silence; 0: none.
std::uint32_t Moves::job_on(const std::string& guest) const {
    for (const Step* step : parts_.steps.all()) {
        if (step->members.count(guest) && !step->deserted()) return step->job;
    }
    return 0;
}

}  // namespace grl::coordinator
