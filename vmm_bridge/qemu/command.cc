#include "vmm_bridge/qemu/command.h"

#include <algorithm>

#include "vmm_bridge/host/tap.h"
#include "vmm_bridge/qemu/passthrough.h"

namespace grl::bridge {

namespace {

// In QEMU's option lists a comma ends a value unless it is doubled.
std::string value(const std::string& text) {
    std::string out;
    for (char c : text) out += c == ',' ? std::string(",,") : std::string(1, c);
    return out;
}

}  // namespace

std::vector<std::string> qemu_command(const GuestDefinition& d, const QemuSection& section,
                                      const QemuPaths& paths,
                                      const std::vector<std::string>& devices, bool incoming) {
    std::vector<std::string> a{kQemuProgram};
    auto add = [&a](std::initializer_list<std::string> more) { a.insert(a.end(), more); };
    add({"-name", value(d.name), "-machine", section.machine, "-accel", section.accel});
    add({"-cpu", section.cpu, "-smp", std::to_string(d.vcpus), "-m", std::to_string(d.memory_mib)});
    add({"-nodefaults", "-no-user-config", "-display", "none"});
    add({"-sandbox", kQemuSandbox});
    // Follow the host's clock, so that after a restore the guest can read the time from it.
    add({"-rtc", "base=utc,clock=host"});
    if (!section.kernel.empty()) {
        add({"-kernel", section.kernel, "-append", section.append});
        if (!section.initrd.empty()) add({"-initrd", section.initrd});
    }
    if (!section.disk.empty()) {
        add({"-drive", "if=none,id=d0,file=" + value(section.disk) +
                           ",format=raw,readonly=on,file.locking=off"});
        add({"-device", "virtio-blk-pci,drive=d0"});
    }
    for (std::size_t i = 0; i < section.nics.size(); ++i) {
        const std::string id = "n" + std::to_string(i);
        add({"-netdev",
             "tap,id=" + id + ",ifname=" + tap_name(d.name, i) + ",script=no,downscript=no"});
        add({"-device",
             "virtio-net-pci,netdev=" + id + ",mac=" + value(section.nics[i].mac) + ",romfile="});
    }
    add({"-chardev", "socket,id=con,path=" + value(paths.console()) +
                         ",server=on,wait=off,logfile=" + value(paths.console_log()) +
                         ",logappend=on"});  // so that it may be truncated
    add({"-serial", "chardev:con", "-device", "virtio-rng-pci"});
    // Last of all devices, so that without them the others are where they were.
    if (!incoming) {
        for (const auto& device : devices) add({"-device", qemu_device_option(device)});
    }
    add({"-qmp", "unix:" + value(paths.monitor()) + ",server=on,wait=off"});
    // The log takes its error messages, which a daemon would lose otherwise.
    add({"-D", paths.log(), "-pidfile", paths.pid(), "-daemonize"});
    if (incoming) add({"-S", "-incoming", "defer"});
    return a;
}

bool is_qemu_of(const std::vector<std::string>& command_line, const QemuPaths& paths) {
    if (command_line.empty() || command_line[0].find(kQemuProgram) == std::string::npos)
        return false;
    auto at = std::find(command_line.begin(), command_line.end(), "-pidfile");
    return at != command_line.end() && ++at != command_line.end() && *at == paths.pid();
}

}  // namespace grl::bridge
