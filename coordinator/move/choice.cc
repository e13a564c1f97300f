// To which host a guest moves.
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
    for (PlacementHost& room : parts_.room.offers(room_owner(ask.guest), {})) {
        const bool named = room.name == ask.host;
        if (room.name == from.name || (!ask.host.empty() && !named)) continue;
        if (!named && room.closed) continue;
        room.closed = false;  // whoever names it means it
        for (const GuestInfo& g : parts_.hosts.find(room.name)->inventory.guests) {
            if (holds_state(g.state) && mates.count(g.name)) ++room.taken;
        }
        hosts.push_back(std::move(room));
    }
    if (hosts.empty()) {
        return move_refusal(
            ask.guest, ask.host.empty() ? "no other host is connected and open; a line and a hold "
                                          "are what is left (grlctl checkpoint, grlctl hold)"
                                        : "no host " + ask.host + " is connected");
    }
    auto placed = place_guests({{guest->name, "", guest->memory_mib, guest->definition_digest,
                                 guest->contents, from.inventory.vmm_version}},
                               std::move(hosts), from.inventory.driver);
    if (!placed) return move_refusal(ask.guest, placed.error().why);
    return parts_.hosts.find(placed->at(ask.guest));
}

}  // namespace grl::coordinator
