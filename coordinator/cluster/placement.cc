#include "coordinator/cluster/placement.h"

#include <algorithm>

#include "grl/messages/guests.h"

namespace grl::coordinator {

namespace {

struct Seat {
    PlacementHost host;
    std::size_t taken = 0;  // guests of this job
};

// Why the guest cannot go there; empty: it can.
std::string obstacle(const PlacementGuest& guest, const Seat& seat, const std::string& driver) {
    const PlacementHost& host = seat.host;
    if (host.closed && host.name != guest.host) return host.name + " is closed for service";
    if (host.driver != driver) return host.name + " runs " + host.driver + ", not " + driver;
    const auto definition = host.definitions.find(guest.name);
    if (definition == host.definitions.end()) return host.name + " does not define it";
    if (definition->second.digest != guest.definition_digest) {
        return host.name + " defines it differently";
    }
    if (host.free_mib < guest.memory_mib) {
        return host.name + " has " + std::to_string(host.free_mib) + " MiB free";
    }
    if (host.free_adapters < definition->second.adapters) {
        return host.name + " has " + std::to_string(host.free_adapters) + " adapter(s) free, " +
               std::to_string(definition->second.adapters) + " are wanted";
    }
    return {};
}

bool better(const Seat& a, const Seat& b) {
    if (a.host.closed != b.host.closed) return b.host.closed;
    if (a.host.free_mib != b.host.free_mib) return a.host.free_mib > b.host.free_mib;
    if (a.taken != b.taken) return a.taken < b.taken;
    return a.host.name < b.host.name;
}

void sit(const PlacementGuest& guest, Seat& seat, std::map<std::string, std::string>& placed) {
    seat.host.free_mib -= guest.memory_mib;
    seat.host.free_adapters -= seat.host.definitions[guest.name].adapters;
    ++seat.taken;
    placed[guest.name] = seat.host.name;
}

Error no_room(const PlacementGuest& guest, const std::vector<Seat>& seats,
              const std::string& driver) {
    std::string why = "no host can take guest " + guest.name + " (" +
                      std::to_string(guest.memory_mib) + " MiB): ";
    if (seats.empty()) why += "no host is connected";
    for (std::size_t i = 0; i < seats.size(); ++i) {
        why += (i ? ", " : "") + obstacle(guest, seats[i], driver);
    }
    return fail("placing the guests", "", why, ErrorKind::refused);
}

}  // namespace

PlacementHost placement_host(const std::string& name, const Inventory& inventory) {
    PlacementHost host{name, inventory.memory_free_mib, inventory.driver, {},
                       0,    inventory.adapters_free};
    for (const GuestInfo& g : inventory.guests) {
        host.definitions[g.name] = {g.definition_digest, g.adapters};
    }
    return host;
}

Result<std::map<std::string, std::string>> place_guests(const std::vector<PlacementGuest>& guests,
                                                        std::vector<PlacementHost> hosts,
                                                        const std::string& driver) {
    std::vector<Seat> seats;
    seats.reserve(hosts.size());
    for (PlacementHost& host : hosts) {
        const std::size_t taken = host.taken;
        seats.push_back({std::move(host), taken});
    }
    std::sort(seats.begin(), seats.end(),
              [](const Seat& a, const Seat& b) { return a.host.name < b.host.name; });

    std::map<std::string, std::string> placed;
    std::vector<const PlacementGuest*> moving;
    for (const PlacementGuest& guest : guests) {
        auto home = std::find_if(seats.begin(), seats.end(),
                                 [&](const Seat& s) { return s.host.name == guest.host; });
        if (home != seats.end() && !home->host.closed && obstacle(guest, *home, driver).empty()) {
            sit(guest, *home, placed);
        } else {
            moving.push_back(&guest);
        }
    }
    // The largest first: what is small still fits afterwards.
    std::stable_sort(moving.begin(), moving.end(),
                     [](const auto* a, const auto* b) { return a->memory_mib > b->memory_mib; });
    for (const PlacementGuest* guest : moving) {
        Seat* best = nullptr;
        for (Seat& seat : seats) {
            if (!obstacle(*guest, seat, driver).empty()) continue;
            if (!best || better(seat, *best)) best = &seat;
        }
        if (!best) return no_room(*guest, seats, driver);
        sit(*guest, *best, placed);
    }
    return placed;
}

}  // namespace grl::coordinator
