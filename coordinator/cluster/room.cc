#include "coordinator/cluster/room.h"

#include <algorithm>

namespace grl::coordinator {

namespace {

bool fills(const GuestInfo& guest) {
    return guest.state != GuestState::absent && guest.state != GuestState::lost;
}

}  // namespace

std::vector<PlacementHost> Room::offers(const std::string& owner,
                                        const std::set<std::string>& leaving) const {
    std::vector<PlacementHost> list;
    for (const Host* host : hosts_.connected()) {
        PlacementHost room = placement_host(host->name, host->inventory);
        room.closed = is_closed(host->name);
        std::uint64_t taken_mib = 0;
        std::uint32_t taken_adapters = 0;
        for (const GuestInfo& g : host->inventory.guests) {
            if (fills(g)) {
                if (leaving.count(g.name) == 0) continue;
                room.free_mib += g.memory_mib;
                room.free_adapters += g.adapters;
                continue;
            }
            for (const auto& [other, seats] : seats_) {
                const auto seat = seats.find(g.name);
                if (other == owner || seat == seats.end() || seat->second != host->name) continue;
                taken_mib += g.memory_mib;
                taken_adapters += g.adapters;
            }
        }
        room.free_mib -= std::min(room.free_mib, taken_mib);
        room.free_adapters -= std::min(room.free_adapters, taken_adapters);
        list.push_back(std::move(room));
    }
    return list;
}

}  // namespace grl::coordinator
