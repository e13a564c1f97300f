// Where a job's guests were, and what they need.
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
        guests.push_back({g.name, home(g), g.memory_mib, g.definition_digest, g.contents,
                          manifest_.vmm_version});
    }
    return guests;
}

std::map<std::string, std::vector<std::string>> RestoreRun::by_host() const {
    std::map<std::string, std::vector<std::string>> hosts;
    for (const auto& [guest, host] : plan_) hosts[host].push_back(guest);
    return hosts;
}

}  // namespace grl::coordinator
