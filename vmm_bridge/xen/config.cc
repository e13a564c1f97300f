#include "vmm_bridge/xen/config.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace grl::bridge {

namespace {

constexpr std::uint64_t kKibInMib = 1024;
constexpr const char* kDiskName = "xvda";
constexpr unsigned kBitsInByte = 8;

// libxenlight frees what it is given.
char* copy(const std::string& text) {
    return text.empty() ? nullptr : strdup(text.c_str());
}

void set(char*& field, const std::string& text) {
    std::free(field);
    field = copy(text);
}

libxl_domain_type type_of(const XenSection& section) {
    return section.type == "pv" ? LIBXL_DOMAIN_TYPE_PV : LIBXL_DOMAIN_TYPE_PVH;
}

// All of them are there from the beginning.
void set_vcpus(libxl_domain_build_info& build, std::uint32_t count) {
    build.max_vcpus = static_cast<int>(count);
    build.avail_vcpus.size = (count + kBitsInByte - 1) / kBitsInByte;
    build.avail_vcpus.map = static_cast<std::uint8_t*>(std::calloc(build.avail_vcpus.size, 1));
    for (std::uint32_t i = 0; i < count; ++i) {
        libxl_bitmap_set(&build.avail_vcpus, static_cast<int>(i));
    }
}

template <class Device, void (*init)(Device*)>
Device* make_devices(std::size_t count) {
    auto* devices = static_cast<Device*>(std::calloc(count, sizeof(Device)));
    for (std::size_t i = 0; i < count; ++i) init(&devices[i]);
    return devices;
}

template <class Device, void (*dispose)(Device*)>
void clear_devices(Device*& devices, int& count) {
    for (int i = 0; i < count; ++i) dispose(&devices[i]);
    std::free(devices);
    devices = nullptr;
    count = 0;
}

Error unfit(const GuestDefinition& d, const std::string& why) {
    return fail("restoring guest " + d.name, "", "the configuration in its stream " + why,
                ErrorKind::protocol);
}

}  // namespace

std::string xen_definition_fault(const GuestDefinition& d, const XenSection& section) {
    if (section.type != "pvh" && section.type != "pv") {
        return "xen.type is \"" + section.type + "\"; there are: pvh, pv";
    }
    if (section.kernel.empty()) return "xen.kernel must be given";
    if (d.adapters > 0 && section.type != "pv") {
        return "adapters are wanted, which Xen gives to paravirtual guests only: xen.type = \"pv\"";
    }
    if (d.memory_mib == 0) return "memory_mib must be given";
    for (const auto& nic : section.nics) {
        if (!parse_mac(nic.mac)) {
            return "\"" + nic.mac + "\" is no MAC address such as 52:54:00:12:34:56";
        }
        if (nic.bridge.empty()) return "each of xen.nics must name its bridge";
    }
    return {};
}

XenConfig::XenConfig(XenConfig&& other) noexcept : config_(other.config_) {
    libxl_domain_config_init(&other.config_);
}

Result<XenConfig> XenConfig::of(const GuestDefinition& d, const XenSection& section,
                                const std::vector<PciAddress>& devices) {
    const std::string fault = xen_definition_fault(d, section);
    if (!fault.empty()) return fail("starting guest " + d.name, "", fault, ErrorKind::usage);
    XenConfig config;
    libxl_domain_create_info& create = config.config_.c_info;
    create.type = type_of(section);
    set(create.name, d.name);
    libxl_uuid_generate(&create.uuid);
    libxl_domain_build_info& build = config.config_.b_info;
    libxl_domain_build_info_init_type(&build, type_of(section));
    set_vcpus(build, d.vcpus);
    build.max_memkb = build.target_memkb = d.memory_mib * kKibInMib;
    config.fill_host_part(section);
    config.give(devices);
    return config;
}

void XenConfig::give(const std::vector<PciAddress>& devices) {
    if (devices.empty()) return;
    // What the devices' registers take of the addresses is then no memory.
    libxl_defbool_set(&config_.b_info.u.pv.e820_host, true);
    config_.pcidevs = make_devices<libxl_device_pci, libxl_device_pci_init>(devices.size());
    config_.num_pcidevs = static_cast<int>(devices.size());
    for (std::size_t i = 0; i < devices.size(); ++i) set_pci(config_.pcidevs[i], devices[i]);
}

void XenConfig::forget_devices() {
    clear_devices<libxl_device_pci, libxl_device_pci_dispose>(config_.pcidevs, config_.num_pcidevs);
}

Result<XenConfig> XenConfig::of_saved(libxl_ctx* ctx, const std::string& json,
                                      const GuestDefinition& d, const XenSection& section) {
    const std::string fault = xen_definition_fault(d, section);
    if (!fault.empty()) return fail("restoring guest " + d.name, "", fault, ErrorKind::usage);
    XenConfig config;
    if (libxl_domain_config_from_json(ctx, config.get(), json.c_str()) != 0) {
        return unfit(d, "cannot be read");
    }
    const libxl_domain_build_info& build = config.config_.b_info;
    if (config.config_.c_info.type != type_of(section)) return unfit(d, "is another type's");
    if (build.max_memkb != d.memory_mib * kKibInMib) {
        return unfit(d, "has " + std::to_string(build.max_memkb / kKibInMib) +
                            " MiB of memory, its definition " + std::to_string(d.memory_mib));
    }
    if (build.max_vcpus != static_cast<int>(d.vcpus)) return unfit(d, "has other vcpus");
    if (config.config_.num_pcidevs != 0) return unfit(d, "has a PCI device");
    config.fill_host_part(section);
    return config;
}

void XenConfig::fill_host_part(const XenSection& section) {
    libxl_domain_build_info& build = config_.b_info;
    set(build.kernel, section.kernel);
    set(build.ramdisk, section.initrd);
    set(build.cmdline, section.append);
    clear_devices<libxl_device_disk, libxl_device_disk_dispose>(config_.disks, config_.num_disks);
    if (!section.disk.empty()) {
        config_.disks = make_devices<libxl_device_disk, libxl_device_disk_init>(1);
        config_.num_disks = 1;
        set(config_.disks[0].pdev_path, section.disk);
        set(config_.disks[0].vdev, kDiskName);
        config_.disks[0].format = LIBXL_DISK_FORMAT_RAW;
    }
    clear_devices<libxl_device_nic, libxl_device_nic_dispose>(config_.nics, config_.num_nics);
    config_.nics = make_devices<libxl_device_nic, libxl_device_nic_init>(section.nics.size());
    config_.num_nics = static_cast<int>(section.nics.size());
    for (std::size_t i = 0; i < section.nics.size(); ++i) {
        libxl_device_nic& nic = config_.nics[i];
        nic.devid = static_cast<libxl_devid>(i);
        nic.nictype = LIBXL_NIC_TYPE_VIF;
        set(nic.bridge, section.nics[i].bridge);
        const auto mac = parse_mac(section.nics[i].mac);
        if (mac) std::memcpy(nic.mac, mac->data(), mac->size());
    }
    // Whether it goes on after its end is the coordinator's to say.
    for (libxl_action_on_shutdown* action :
         {&config_.on_poweroff, &config_.on_reboot, &config_.on_watchdog, &config_.on_crash}) {
        *action = LIBXL_ACTION_ON_SHUTDOWN_DESTROY;
    }
}

void XenConfig::set_name(const std::string& name) {
    set(config_.c_info.name, name);
}

void set_pci(libxl_device_pci& device, const PciAddress& address) {
    device.domain = address.domain;
    device.bus = address.bus;
    device.dev = address.device;
    device.func = address.function;
}

std::string text_of_uuid(const libxl_uuid& uuid) {
    char text[37];
    std::snprintf(text, sizeof text, LIBXL_UUID_FMT, LIBXL_UUID_BYTES(uuid));
    return text;
}

std::string XenConfig::uuid() const {
    return text_of_uuid(config_.c_info.uuid);
}

}  // namespace grl::bridge
