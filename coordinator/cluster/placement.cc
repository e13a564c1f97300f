#include "coordinator/cluster/placement.h"

#include <algorithm>
#include <cctype>

#include "grl/messages/guests.h"

namespace grl::coordinator {

namespace {

struct Seat {
    PlacementHost host;
    std::size_t taken = 0;  // guests of this job
};

// "QEMU 7.2.22" → 7, 2
std::pair<int, int> release_of(const std::string& version) {
    int numbers[2] = {0, 0};
    std::size_t at = 0;
    while (at < version.size() && !std::isdigit(static_cast<unsigned char>(version[at]))) ++at;
    for (int& number : numbers) {
        for (; at < version.size() && std::isdigit(static_cast<unsigned char>(version[at])); ++at) {
            number = number * 10 + (version[at] - '0');
        }
        if (at < version.size() && version[at] == '.') ++at;
    }
    return {numbers[0], numbers[1]};
}

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
    const std::string part = differing_part(guest.contents, definition->second.contents);
    if (!part.empty()) {
        return "the " + part + " of " + guest.name + " on " + host.name +
               " is another than the one it ran with";
    }
    if (!guest.vmm_version.empty() && !host.vmm_version.empty() &&
        release_of(host.vmm_version) < release_of(guest.vmm_version)) {
        return host.name + " runs " + host.vmm_version + ", which is older than its " +
               guest.vmm_version;
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

// The host is to the guest as the one it ran on.
bool same(const PlacementGuest& guest, const Seat& seat) {
    const auto definition = seat.host.definitions.find(guest.name);
    return definition != seat.host.definitions.end() &&
           seat.host.vmm_version == guest.vmm_version &&
           same_contents(guest.contents, definition->second.contents);
}

bool better(const PlacementGuest& guest, const Seat& a, const Seat& b) {
    if (a.host.closed != b.host.closed) return b.host.closed;
    if (same(guest, a) != same(guest, b)) return same(guest, a);
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
        host.definitions[g.name] = {g.definition_digest, g.adapters, g.contents};
    }
    host.vmm_version = inventory.vmm_version;
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
            if (!best || better(*guest, seat, *best)) best = &seat;
        }
        if (!best) return no_room(*guest, seats, driver);
        sit(*guest, *best, placed);
    }
    return placed;
}

}  // namespace grl::coordinator
