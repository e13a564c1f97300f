// What libxenlight must know of a domain, made of a guest's definition. Pure but for the random
// UUID; no hypervisor is needed. Any thread.
#pragma once

#include <string>

#include "grl/base/result.h"
#include "vmm_bridge/host/definitions.h"
#include "vmm_bridge/host/passthrough.h"
#include "vmm_bridge/xen/api.h"
#include "vmm_bridge/xen/section.h"

namespace grl::bridge {

class XenConfig {
  public:
    XenConfig() { libxl_domain_config_init(&config_); }
    ~XenConfig() { libxl_domain_config_dispose(&config_); }
    XenConfig(XenConfig&& other) noexcept;
    XenConfig& operator=(XenConfig&&) = delete;
    XenConfig(const XenConfig&) = delete;
    XenConfig& operator=(const XenConfig&) = delete;

    // A new domain. The error says what is wrong with the definition.
    static Result<XenConfig> of(const GuestDefinition& definition, const XenSection& section,
                                const std::vector<PciAddress>& devices);
    // One that was captured, from the JSON that travels before its state: what the guest has seen
    // of itself is kept, what the host gives (kernel, disk, bridges) is this host's.
    static Result<XenConfig> of_saved(libxl_ctx* ctx, const std::string& json,
                                      const GuestDefinition& definition,
                                      const XenSection& section);

    void set_name(const std::string& name);
    void forget_devices();  // its capture has none; the domain can still be given some
    std::string uuid() const;
    libxl_domain_config* get() { return &config_; }
    const libxl_domain_config& operator*() const { return config_; }

  private:
    void fill_host_part(const XenSection& section);
    void give(const std::vector<PciAddress>& devices);

    libxl_domain_config config_;
};

// Empty if a domain can be made of it.
std::string xen_definition_fault(const GuestDefinition& definition, const XenSection& section);

void set_pci(libxl_device_pci& device, const PciAddress& address);

std::string text_of_uuid(const libxl_uuid& uuid);

}  // namespace grl::bridge
