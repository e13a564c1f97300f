// Guests that a move which was broken off has left on two hosts (moves.h).
#include "coordinator/move/moves.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

bool over(const MoveReport& move) {
    return move.line.phase == Phase::done || move.line.phase == Phase::aborted;
}

bool left_behind(GuestState state) {
    return state == GuestState::moved || state == GuestState::arrived ||
           state == GuestState::arriving;
}

}  // namespace

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
    if (move.given) {
        if (all_said(move)) return settle_given(move);
        if (parts_.hosts.condition(move.to) == HostCondition::lost) {
            puzzled(guest, "it was given to " + move.to +
                               ", which is lost and may run it: bring its " +
                               "bridge back, or turn it off: grlctl fence " + move.to);
        }
        return;
    }
    // The target never had leave to run it: it need not be waited for once it is lost. What it has
    // of the guest goes when it is back.
    if (all_said(move) || parts_.hosts.condition(move.to) == HostCondition::lost) settle_kept(move);
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
    if (!puzzling_.insert(guest + why).second) return;
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
