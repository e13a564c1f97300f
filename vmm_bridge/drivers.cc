#include "vmm_bridge/drivers.h"

#include <config.h>  // configure's; this folder has another

#include <set>

#include "vmm_bridge/host/passthrough.h"
#include "vmm_bridge/qemu/driver.h"
#include "vmm_bridge/qemu/passthrough.h"
#include "vmm_bridge/qemu/section.h"
#ifdef GRL_WITH_XEN
#include "vmm_bridge/xen/driver.h"
#endif
#include "vmm_bridge/xen/section.h"

namespace grl::bridge {

std::string driver_fault(const std::string& name) {
    if (name == "qemu") return {};
#ifdef GRL_WITH_XEN
    if (name == "xen") return {};
    const std::string known = "qemu, xen";
#else
    if (name == "xen") {
        return "bridge.driver is \"xen\", which this build lacks: install libxen-dev and build "
               "again";
    }
    const std::string known = "qemu";
#endif
    return "bridge.driver is \"" + name + "\"; there is: " + known;
}

std::string adapters_fault(const BridgeSection& config) {
    std::set<std::string> seen;
    for (const std::string& adapter : config.adapters) {
        const auto address = parse_pci_address(adapter);
        const std::string entry = "bridge.adapters: \"" + adapter + "\" ";
        if (!address && config.driver == "xen") {
            return entry + "is no PCI address such as 0000:3b:02.1";
        }
        if (!address && !is_qemu_device(adapter)) {
            return entry +
                   "is neither a PCI address such as 0000:3b:02.1 nor a device in the "
                   "words of QEMU's -device, without blanks, quotes and an id";
        }
        // Two spellings of one device, too.
        if (!seen.insert(qemu_device_id(address ? text_of(*address) : adapter)).second) {
            return entry + "is there more than once";
        }
    }
    return {};
}

Result<void> complete_sections(GuestDefinition& d) {
    Result<void> done = complete_section<QemuSection>(d.qemu, "qemu", Unknown::refuse);
    return done ? complete_section<XenSection>(d.xen, "xen", Unknown::refuse) : done;
}

std::unique_ptr<Driver> make_driver(boost::asio::io_context& io, const BridgeSection& config) {
#ifdef GRL_WITH_XEN
    if (config.driver == "xen")
        return std::make_unique<XenDriver>(io, config.run_dir, config.adapters);
#endif
    return std::make_unique<QemuDriver>(io, config.run_dir, config.adapters);
}

}  // namespace grl::bridge
