// Where a job's guests were, what they need, and what room there is.
#include <algorithm>

#include "coordinator/restore/run.h"
#include "grl/messages/guests.h"

namespace grl::coordinator {

std::string RestoreRun::home(const ManifestGuest& guest) const {
    const auto here = parts_.hosts.homes_of(guest.name);
    if (!here.empty()) return here.front()->name;
    auto it = places_.find(guest.name);
    return it == places_.end() ? guest.host : it->second;
}

std::set<std::string> RestoreRun::lost_hosts(HostCondition condition) const {
    std::set<std::string> hosts;
    for (const ManifestGuest& g : manifest_.guests) {
        if (!parts_.hosts.homes_of(g.name).empty()) continue;
        std::set<std::string> suspects =
            suspects_.count(g.name) ? suspects_.at(g.name) : std::set<std::string>();
        if (places_.count(g.name) == 0) suspects.insert(home(g));
        suspects.merge(parts_.hosts.may_run_on(g.name));
        for (const std::string& host : suspects) {
            if (parts_.hosts.condition(host) == condition) hosts.insert(host);
        }
    }
    return hosts;
}

std::vector<PlacementGuest> RestoreRun::needs() const {
    std::vector<PlacementGuest> guests;
    for (const ManifestGuest& g : manifest_.guests) {
        guests.push_back({g.name, home(g), g.memory_mib, g.definition_digest});
    }
    return guests;
}

// As it will be when the job's guests are gone.
std::vector<PlacementHost> RestoreRun::room() const {
    std::vector<PlacementHost> list;
    for (const Host* host : parts_.hosts.connected()) {
        if (!parts_.hosts.sees_store(*host)) continue;  // it could load nothing
        PlacementHost room = placement_host(host->name, host->inventory);
        for (const GuestInfo& g : host->inventory.guests) {
            const bool ours = std::any_of(manifest_.guests.begin(), manifest_.guests.end(),
                                          [&](const ManifestGuest& m) { return m.name == g.name; });
            if (ours && g.state != GuestState::absent && g.state != GuestState::lost) {
                room.free_mib += g.memory_mib;
                room.free_adapters += g.adapters;
            }
        }
        const PlacementRoom taken = hooks_.reserved ? hooks_.reserved(host->name) : PlacementRoom();
        room.free_mib -= std::min(room.free_mib, taken.mib);
        room.free_adapters -= std::min(room.free_adapters, taken.adapters);
        list.push_back(std::move(room));
    }
    return list;
}

std::map<std::string, std::vector<std::string>> RestoreRun::by_host() const {
    std::map<std::string, std::vector<std::string>> hosts;
    for (const auto& [guest, host] : plan_) hosts[host].push_back(guest);
    return hosts;
}

}  // namespace grl::coordinator
