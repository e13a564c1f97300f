#include "coordinator/move/moves.h"

#include <algorithm>

#include "coordinator/cluster/placement.h"
#include "coordinator/engine/gather.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/wire/credential.h"

namespace grl::coordinator {

namespace {

constexpr std::chrono::seconds kWatchEvery{2};

bool over(const MoveReport& move) {
    return move.line.phase == Phase::done || move.line.phase == Phase::aborted;
}

Error refusal(const std::string& guest, const std::string& why) {
    return fail("moving guest " + guest, "", why, ErrorKind::refused);
}

const GuestInfo* info_of(const Host& host, const std::string& guest) {
    for (const GuestInfo& g : host.inventory.guests) {
        if (g.name == guest) return &g;
    }
    return nullptr;
}

// Why it did not leave its host; empty: it did.
std::string stays(const Result<MoveReport>& outcome) {
    if (!outcome) return outcome.error().text();
    if (outcome->line.phase == Phase::done) return {};
    return "guest " + outcome->guest + " stays: " + outcome->line.reason;
}

bool left_behind(GuestState state) {
    return state == GuestState::moved || state == GuestState::arrived ||
           state == GuestState::arriving;
}

}  // namespace

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
        closed_.insert(known->closed.begin(), known->closed.end());
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
        ask.watcher.done(refusal(ask.guest, "the coordinator ends; ask again when it is back"));
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
        asio::post(parts_.io, [done = ask.watcher.done, e = refusal(ask.guest, why)] { done(e); });
    };
    if (under_way_.count(ask.guest)) return refuse("it is on its way already");
    auto home = parts_.hosts.home_of(ask.guest);
    if (!home) return refuse(home.error().why);
    if ((*home)->name == ask.host) return refuse("it is on " + ask.host);
    auto to = choose(ask, **home, job_on(ask.guest));
    if (!to) return refuse(to.error().why);
    under_way_[ask.guest] = (*to)->name;
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
                return ended(ask.guest, refusal(ask.guest, noted.error().text()), ask.watcher);
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
        if (placed) placed(guest);
        parts_.store.run(
            [trip, keep = parts_.config.coordinator.keep_moves](Catalog& c) -> Result<void> {
                auto put = c.put_move(trip, keep);
                return put ? c.put_place(trip.guest, trip.to) : put;
            },
            std::move(then));
    };
    log_info("move " + std::to_string(report.move) + ": guest " + ask.guest + " goes from " +
             from->name + " to " + to->name + " (" + ask.cause + ")");
    lines_.move(job_on(ask.guest), std::move(order),
                {ask.watcher.progress, [this, ask](Result<MoveReport> outcome) {
                     ended(ask.guest, outcome, ask.watcher);
                 }});
}

void Moves::ended(const std::string& guest, const Result<MoveReport>& outcome,
                  const Watcher<MoveReport>& watcher) {
    under_way_.erase(guest);
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

Result<const Host*> Moves::choose(const Ask& ask, const Host& from, std::uint32_t job) const {
    const GuestInfo* guest = info_of(from, ask.guest);
    if (!guest) return refusal(ask.guest, "it is not on " + from.name);
    std::set<std::string> mates;
    for (const Step* step : parts_.steps.of_job(job)) {
        for (const auto& [node, member] : step->members) mates.insert(node);
    }
    std::vector<PlacementHost> hosts;
    for (const Host* host : parts_.hosts.connected()) {
        const bool named = host->name == ask.host;
        if (host->name == from.name || (!ask.host.empty() && !named)) continue;
        if (!named && is_closed(host->name)) continue;
        PlacementHost room = placement_host(host->name, host->inventory);
        for (const GuestInfo& g : host->inventory.guests) {
            if (holds_state(g.state) && mates.count(g.name)) ++room.taken;
        }
        // What is on its way there, and not in its inventory yet.
        for (const auto& [other, target] : under_way_) {
            const GuestInfo* coming = target == host->name ? info_of(*host, other) : nullptr;
            if (coming && other != ask.guest && coming->state == GuestState::absent) {
                room.free_mib -= std::min(room.free_mib, coming->memory_mib);
                room.free_adapters -= std::min(room.free_adapters, coming->adapters);
            }
        }
        hosts.push_back(std::move(room));
    }
    if (hosts.empty()) {
        return refusal(ask.guest, ask.host.empty()
                                      ? "no other host is connected and open; a line and a hold "
                                        "are what is left (grlctl checkpoint, grlctl hold)"
                                      : "no host " + ask.host + " is connected");
    }
    auto placed = place_guests({{guest->name, "", guest->memory_mib, guest->definition_digest}},
                               std::move(hosts), from.inventory.driver);
    if (!placed) return refusal(ask.guest, placed.error().why);
    return parts_.hosts.find(placed->at(ask.guest));
}

// The job whose step runs on it and can be brought to silence; 0: none.
std::uint32_t Moves::job_on(const std::string& guest) const {
    for (const Step* step : parts_.steps.all()) {
        if (step->members.count(guest) && !step->deserted()) return step->job;
    }
    return 0;
}

// ---- a host ----

void Moves::evacuate(const std::string& name, const std::string& cause,
                     std::function<void(const MoveReport&)> progress,
                     std::function<void(Result<MoveReports>)> done) {
    const Host* host = parts_.hosts.find(name);
    if (!host || !host->connected()) {
        return done(fail("evacuating host " + name, "", "no host " + name + " is connected",
                         ErrorKind::not_found));
    }
    closed_.insert(name);
    parts_.store.note([name](Catalog& c) { return c.put_closed(name, true); });
    struct Round {
        MoveReports reports;
        std::string fault;
    };
    Round round;
    for (const auto& [guest, target] : under_way_) {
        if (target == name) round.fault = "guest " + guest + " is on its way here: ask again";
    }
    std::vector<std::string> leaving;
    for (const GuestInfo& g : host->inventory.guests) {
        if (!holds_state(g.state)) continue;
        if (g.state == GuestState::running) {
            leaving.push_back(g.name);
        } else {
            round.fault = "guest " + g.name + " is " + name_of(g.state) + ": ask again later";
        }
    }
    Gather<Round> gather(std::move(round), [name, done = std::move(done)](Round& r) {
        if (r.fault.empty()) return done(std::move(r.reports));
        done(fail("evacuating host " + name, "", r.fault, ErrorKind::refused));
    });
    auto take = [](Round& r, const Result<MoveReport>& outcome) {
        if (outcome) r.reports.moves.push_back(*outcome);
        if (r.fault.empty()) r.fault = stays(outcome);
    };
    for (const std::string& guest : leaving) move(guest, "", cause, {progress, gather.one(take)});
    gather.all_asked();
}

void Moves::reopen(const std::string& host, std::function<void(Result<Done>)> done) {
    if (closed_.erase(host) == 0) {
        return done(fail("opening host " + host, "", "it is not closed", ErrorKind::not_found));
    }
    parts_.store.note([host](Catalog& c) { return c.put_closed(host, false); });
    done(Done{});
}

// ---- settling ----

void Moves::settle() {
    if (!known_) return;
    std::set<std::string> guests;
    for (const Host* host : parts_.hosts.connected()) {
        for (const GuestInfo& g : host->inventory.guests) {
            if (left_behind(g.state) && !under_way_.count(g.name)) guests.insert(g.name);
        }
    }
    for (const std::string& guest : guests) {
        if (!settling_.count(guest)) settle(guest);
    }
    close_trips();
}

// Those that have come to rest: the guest is on one host alone, and the other has said so.
void Moves::close_trips() {
    for (auto it = trips_.begin(); it != trips_.end();) {
        auto& [guest, report] = *it;
        const auto here = parts_.hosts.hosts_of(guest);
        const bool alone = here.size() == 1 && !left_behind(Hosts::state_on(*here[0], guest));
        if (under_way_.count(guest) || !alone || !all_said(report)) {
            ++it;
            continue;
        }
        if (!over(report)) {
            report.line.phase = here[0]->name == report.to ? Phase::done : Phase::aborted;
            report.line.reason = "the coordinator ended meanwhile";
        }
        report.open = false;
        parts_.store.note([report = report, keep = parts_.config.coordinator.keep_moves](
                              Catalog& c) { return c.put_move(report, keep); });
        it = trips_.erase(it);
    }
}

// Both hosts of it are connected, or off.
bool Moves::all_said(const MoveReport& trip) const {
    auto said = [this](const std::string& host) {
        const HostCondition now = parts_.hosts.condition(host);
        return now == HostCondition::connected || now == HostCondition::fenced;
    };
    return said(trip.from) && said(trip.to);
}

void Moves::settle(const std::string& guest) {
    const auto homes = parts_.hosts.homes_of(guest);
    if (!homes.empty()) {
        for (const Host* host : parts_.hosts.hosts_of(guest)) {
            if (!left_behind(Hosts::state_on(*host, guest))) continue;
            log_info("what a move left of guest " + guest + " on " + host->name + " goes");
            say(*host, guest, DestroyGuests{{guest}}, "removing what is left of it", {});
        }
        return;
    }
    const auto trip = trips_.find(guest);
    if (trip == trips_.end()) return puzzled(guest, "no move of it is known");
    const MoveReport& move = trip->second;
    if (!all_said(move)) return;
    move.given ? settle_given(move) : settle_kept(move);
}

// Nobody but the target may have run it since.
void Moves::settle_given(const MoveReport& move) {
    const Host* to = parts_.hosts.find(move.to);
    const bool there =
        to && to->connected() && Hosts::state_on(*to, move.guest) == GuestState::arrived;
    if (!there) {
        return puzzled(move.guest, "it was given to " + move.to +
                                       ", which does not have it any more: it may have run there");
    }
    log_info("guest " + move.guest + ", whose move was broken off, goes on on " + move.to);
    say(*to, move.guest, ResumeGuests{{move.guest}}, "letting it run", {});
}

// Nobody but the source may have run it since; first nothing of it is left at the target.
void Moves::settle_kept(const MoveReport& move) {
    const Host* from = parts_.hosts.find(move.from);
    const bool here =
        from && from->connected() && Hosts::state_on(*from, move.guest) == GuestState::moved;
    auto go_on = [this, move] {
        const Host* from = parts_.hosts.find(move.from);
        if (!from->connected()) return;
        log_info("guest " + move.guest + ", whose move was broken off, goes on on " + move.from);
        say(*from, move.guest, ResumeGuests{{move.guest}}, "letting it run", {});
    };
    const Host* to = parts_.hosts.find(move.to);
    if (to && to->connected()) {
        return say(*to, move.guest, DestroyGuests{{move.guest}}, "removing what has arrived of it",
                   [here, go_on] {
                       if (here) go_on();
                   });
    }
    if (here) go_on();
}

// Left as it is, for an operator: a restore of its job, or a stop of it.
void Moves::puzzled(const std::string& guest, const std::string& why) {
    if (!puzzling_.insert(guest).second) return;
    log_error("guest " + guest + " stands still, and stays so: " + why +
              "; restore its job, or remove it with: grlctl stop " + guest);
}

// The inventory that follows says how it is then.
template <class Message>
void Moves::say(const Host& host, const std::string& guest, const Message& message,
                const std::string& what, std::function<void()> then) {
    settling_.insert(guest);
    host.channel->template request<Done>(
        message, Milliseconds(parts_.config.deadlines.fence_ms),
        [this, guest, what, then = std::move(then)](const Result<Done>& done) {
            settling_.erase(guest);
            if (!done) {
                return log_error("guest " + guest + ", " + what + ": " + done.error().text());
            }
            if (then) then();
        });
}

}  // namespace grl::coordinator
