// What QEMU must know of a guest: the [qemu] section of its definition.
#pragma once

#include <boost/describe/class.hpp>
#include <string>
#include <vector>

#include "vmm_bridge/host/definitions.h"
#include "vmm_bridge/host/nic.h"

namespace grl::bridge {

struct QemuSection : Defaulted {
    std::string accel = "tcg";  // tcg, kvm
    std::string machine = "pc-i440fx-7.2";
    std::string cpu = "max,la57=off";
    std::string kernel;
    std::string initrd;
    std::string append;
    std::string disk;  // read-only
    std::vector<Nic> nics;
};
BOOST_DESCRIBE_STRUCT(QemuSection, (), (accel, machine, cpu, kernel, initrd, append, disk, nics))

// Reads the section of a definition, which is complete (host/definitions.h).
inline Result<QemuSection> qemu_section(const GuestDefinition& definition) {
    return read_section<QemuSection>(definition.qemu, "qemu");
}

}  // namespace grl::bridge
