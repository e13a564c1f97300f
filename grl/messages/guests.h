// What a host has: its guests, told by its bridge, and the words by which they begin, run and go.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/messages/phase.h"

namespace grl {

// What a guest's memory takes for granted of its host, beside its definition: which bytes its disk
// has, not only where it lies.
struct ContentId {
    std::string part;  // machine, kernel, initrd, disk
    std::string id;    // equal: the same; empty: not known (yet)
    bool operator==(const ContentId&) const = default;
};
BOOST_DESCRIBE_STRUCT(ContentId, (), (part, id))
using Contents = std::optional<std::vector<ContentId>>;  // none: of a release that does not tell

// The first part that both know and that differs; empty: nothing speaks against it.
std::string differing_part(const Contents& a, const Contents& b);
// Both know all, and all is the same.
bool same_contents(const Contents& a, const Contents& b);

struct GuestInfo {
    std::string name;
    GuestState state = GuestState::absent;
    std::string address;  // on the cluster network
    std::uint64_t memory_mib = 0;
    std::string definition_digest;  // XXH3-128 of the definition; equal on hosts that may swap it
    std::uint32_t adapters = 0;     // how many it wants of its host's
    Contents contents = {};
};
BOOST_DESCRIBE_STRUCT(GuestInfo, (),
                      (name, state, address, memory_mib, definition_digest, adapters, contents))

struct Inventory {  // bridge → coordinator: on connecting, and again when it changes
    static constexpr const char* kType = "inventory";
    std::string host;
    std::string driver;                 // qemu, xen
    std::string vmm_version;            // "QEMU 7.2.22"
    std::uint64_t memory_mib = 0;       // what guests may take here
    std::uint64_t memory_free_mib = 0;  // of it, not taken
    std::vector<GuestInfo> guests;
    std::uint32_t adapters_free = 0;  // to be passed through, not taken
    std::string store = {};  // the id of the checkpoint directory that is seen here; empty: none
    std::string image_dir = {};  // where it is to be
};
BOOST_DESCRIBE_STRUCT(Inventory, (),
                      (host, driver, vmm_version, memory_mib, memory_free_mib, guests,
                       adapters_free, store, image_dir))

struct GuestDied {  // bridge → coordinator, at once
    static constexpr const char* kType = "guest_died";
    std::string guest;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(GuestDied, (), (guest, reason))

struct StartGuest {  // coordinator → bridge; replies Done when the VMM runs it
    static constexpr const char* kType = "start_guest";
    std::string guest;
};
BOOST_DESCRIBE_STRUCT(StartGuest, (), (guest))

struct DestroyGuests {  // coordinator → bridge; Done when none of them is left; absent ones are
                        // fine
    static constexpr const char* kType = "destroy_guests";
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(DestroyGuests, (), (guests))

struct ResumeGuests {  // let restored guests run; Done when they do
    static constexpr const char* kType = "resume_guests";
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(ResumeGuests, (), (guests))

}  // namespace grl
