// What Xen must know of a guest: the [xen] section of its definition. Needs no libxenlight.
#pragma once

#include <boost/describe/class.hpp>
#include <string>
#include <vector>

#include "vmm_bridge/host/definitions.h"
#include "vmm_bridge/host/nic.h"

namespace grl::bridge {

struct XenSection : Defaulted {
    std::string type = "pvh";  // pvh, pv
    std::string kernel;
    std::string initrd;
    std::string append;
    std::string disk;  // read-only; a file or a block device
    std::vector<Nic> nics;
};
BOOST_DESCRIBE_STRUCT(XenSection, (), (type, kernel, initrd, append, disk, nics))

// Reads the section of a definition, which is complete (host/definitions.h).
inline Result<XenSection> xen_section(const GuestDefinition& definition) {
    return read_section<XenSection>(definition.xen, "xen");
}

}  // namespace grl::bridge
