// Hosts that are lost are turned off before anything of the job runs anew.
#include "coordinator/engine/gather.h"
#include "coordinator/lines/fencing.h"
#include "coordinator/restore/run.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

// A host that has died without a word still counts as connected. So all are asked for a sign of
// life first; who does not give one is away when hosts.h says so.
void RestoreRun::look() {
    Gather<int> signs(0, here([this](int) { await_lost(); }));
    for (const Host* host : parts_.hosts.connected()) {
        await(host->name);
        host->channel->request_raw(
            Heartbeat::kType, {}, 3 * Milliseconds(deadlines_.bridge_lost_ms),
            signs.one(here([this, name = host->name](int, const auto&) { forget(name); })));
    }
    signs.all_asked();
}

// A host that is away may come back any moment; only one that is lost is turned off.
void RestoreRun::await_lost() {
    if (!lost_hosts(HostCondition::away).empty()) {
        return again([this] { await_lost(); });
    }
    if (cannot_fence(lost_hosts(HostCondition::lost))) return;
    all_answered();
}

bool RestoreRun::cannot_fence(const std::set<std::string>& lost) {
    if (lost.empty() || !parts_.config.coordinator.fence_program.empty()) return false;
    refuse("host " + *lost.begin() +
           " is lost and may still run guests of the job: set "
           "coordinator.fence_program, bring its bridge back, or say that it is off: grlctl fence " +
           *lost.begin() + " --off");
    return true;
}

void RestoreRun::fence() {
    const auto lost = lost_hosts(HostCondition::lost);
    if (lost.empty()) return all_answered();
    if (cannot_fence(lost)) return;
    for (const std::string& host : lost) {
        await(host);
        // It is off, whatever has become of this restore.
        fence_host(parts_, host, here([this, host](const Result<void>& off) {
                       if (!off) return refuse("host " + host + ": " + off.error().text());
                       answered(host);
                   }));
    }
}

// A host may have gone while images were read, others were turned off, or a line ended; its guest
// may run there still, or was to run there.
bool RestoreRun::gone_meanwhile() {
    for (const ManifestGuest& g : manifest_.guests) {
        const auto start = parts_.hosts.starting().find(g.name);
        if (start == parts_.hosts.starting().end()) continue;
        refuse("guest " + g.name + " is being started on " + start->second + "; ask again");
        return true;
    }
    for (const auto& [guest, host] : plan_) {
        if (parts_.hosts.condition(host) == HostCondition::connected) continue;
        refuse("host " + host + " went away meanwhile; ask again");
        return true;
    }
    for (HostCondition condition : {HostCondition::away, HostCondition::lost}) {
        const auto hosts = lost_hosts(condition);
        if (hosts.empty()) continue;
        refuse("host " + *hosts.begin() + " went away meanwhile; ask again");
        return true;
    }
    return false;
}

}  // namespace grl::coordinator
