// The command line of a guest's QEMU. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "vmm_bridge/qemu/paths.h"
#include "vmm_bridge/qemu/section.h"

namespace grl::bridge {

inline constexpr const char* kQemuProgram = "qemu-system-x86_64";
// New privileges are refused by what it inherits. Without new processes it could not become a
// daemon.
inline constexpr const char* kQemuSandbox = "on,obsolete=deny,resourcecontrol=deny";

// `incoming`: it waits, paused, to be told where its state comes from, and has no passthrough
// devices yet
// (passthrough.h).
std::vector<std::string> qemu_command(const GuestDefinition& definition, const QemuSection& section,
                                      const QemuPaths& paths,
                                      const std::vector<std::string>& devices, bool incoming);

// Whether a running process is the QEMU of that guest.
bool is_qemu_of(const std::vector<std::string>& command_line, const QemuPaths& paths);

}  // namespace grl::bridge
