// To which host a guest moves.
#include <algorithm>

#include "coordinator/cluster/placement.h"
#include "coordinator/move/moves.h"
#include "grl/messages/guests.h"

namespace grl::coordinator {

namespace {

const GuestInfo* info_of(const Host& host, const std::string& guest) {
    for (const GuestInfo& g : host.inventory.guests) {
        if (g.name == guest) return &g;
    }
    return nullptr;
}

}  // namespace

Result<const Host*> Moves::choose(const Ask& ask, const Host& from, std::uint32_t job) const {
    const GuestInfo* guest = info_of(from, ask.guest);
    if (!guest) return move_refusal(ask.guest, "it is not on " + from.name);
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
        return move_refusal(
            ask.guest, ask.host.empty() ? "no other host is connected and open; a line and a hold "
                                          "are what is left (grlctl checkpoint, grlctl hold)"
                                        : "no host " + ask.host + " is connected");
    }
    auto placed = place_guests({{guest->name, "", guest->memory_mib, guest->definition_digest}},
                               std::move(hosts), from.inventory.driver);
    if (!placed) return move_refusal(ask.guest, placed.error().why);
    return parts_.hosts.find(placed->at(ask.guest));
}

}  // namespace grl::coordinator
