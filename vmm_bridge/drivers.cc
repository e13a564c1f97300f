#include "vmm_bridge/drivers.h"

#include "config.h"
#include "vmm_bridge/qemu_driver.h"
#ifdef GRL_WITH_XEN
#include "vmm_bridge/xen_driver.h"
#endif

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

std::unique_ptr<Driver> make_driver(boost::asio::io_context& io, const BridgeSection& config) {
#ifdef GRL_WITH_XEN
    if (config.driver == "xen") return std::make_unique<XenDriver>(io, config.run_dir);
#endif
    return std::make_unique<QemuDriver>(io, config.run_dir);
}

}  // namespace grl::bridge
