// All guests of a host move, and none moves to it until it is opened again.
#include "coordinator/engine/gather.h"
#include "coordinator/move/moves.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

// Why it did not leave its host; empty: it did.
std::string stays(const Result<MoveReport>& outcome) {
    if (!outcome) return outcome.error().text();
    if (outcome->line.phase == Phase::done) return {};
    return "guest " + outcome->guest + " stays: " + outcome->line.reason;
}

}  // namespace

void Moves::evacuate(const std::string& name, const std::string& cause,
                     std::function<void(const MoveReport&)> progress,
                     std::function<void(Result<MoveReports>)> done) {
    const Host* host = parts_.hosts.find(name);
    if (!host || !host->connected()) {
        return done(fail("evacuating host " + name, "", "no host " + name + " is connected",
                         ErrorKind::not_found));
    }
    parts_.room.close(name);
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
    if (!parts_.room.open(host)) {
        return done(fail("opening host " + host, "", "it is not closed", ErrorKind::not_found));
    }
    parts_.store.note([host](Catalog& c) { return c.put_closed(host, false); });
    done(Done{});
}

}  // namespace grl::coordinator
