// Where the guests of a job are restored, and where a guest moves. Pure.
//
// A guest stays on its host if that is connected and has room; else it goes to the connected host
// with most free memory left, between equals to the one with fewer guests of this job, then by
// name. A host can take a guest if it defines it with the same digest and has the image's kind of
// VMM; kernel, initrd, disk and machine must not be known to differ, nor may its VMM be of an older
// release than the one that wrote the image (corrections, the third number, count little: VMMs keep
// their formats over them). Between hosts that can, one with the very same VMM and contents comes
// first. A host that is closed for service gets no guest that was not there; one that was goes to
// another host, and stays only where no other can take it, as it must be somewhere.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "grl/base/result.h"
#include "grl/messages/guests.h"

namespace grl::coordinator {

struct PlacementGuest {
    std::string name;
    std::string host;  // where it was last; may be unknown by now
    std::uint64_t memory_mib = 0;
    std::string definition_digest;
    Contents contents = {};        // that its memory was with
    std::string vmm_version = {};  // likewise; empty: not known
};

// Of a guest on one host. Equal digests mean that all of it is equal.
struct PlacementDefinition {
    std::string digest;
    std::uint32_t adapters = 0;
    Contents contents = {};
};

struct PlacementHost {  // connected ones only
    std::string name;
    std::uint64_t free_mib = 0;  // with the job's own guests counted as gone, as all of these
    std::string driver;
    std::map<std::string, PlacementDefinition> definitions;  // by guest
    std::size_t taken = 0;                                   // guests of this job that stay here
    std::uint32_t free_adapters = 0;
    bool closed = false;  // for service
    std::string vmm_version = {};
};

// What its inventory says, all of whose guests stay.
PlacementHost placement_host(const std::string& name, const Inventory& inventory);

// guest → host, or ErrorKind::refused with what is missing on each host.
Result<std::map<std::string, std::string>> place_guests(const std::vector<PlacementGuest>& guests,
                                                        std::vector<PlacementHost> hosts,
                                                        const std::string& driver);

}  // namespace grl::coordinator
