#include "vmm_bridge/host/definitions.h"

#include <algorithm>
#include <filesystem>

#include "grl/base/config.h"
#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "vmm_bridge/base/digest.h"

namespace grl::bridge {

namespace {

constexpr const char* kSuffix = ".toml";

std::string fault_of(const GuestDefinition& d, const std::string& name, const std::string& driver) {
    if (d.name != name) return "it defines \"" + d.name + "\"; the file's name must be the guest's";
    if (d.driver != driver) return "its driver is " + d.driver + ", this host's is " + driver;
    if (d.memory_mib == 0) return "memory_mib must be given";
    if (d.vcpus == 0) return "vcpus must be at least 1";
    return {};
}

}  // namespace

Result<GuestDefinition> load_guest_definition(const std::string& path,
                                              const CompleteSections& complete) {
    auto guest = load_config<GuestDefinition>(path);
    if (!guest) return guest;
    if (Result<void> completed = complete(*guest); !completed) {
        Error e = completed.error();
        e.where = path;
        return e;
    }
    if (!valid_name(guest->name)) return config_error(path, "key name: a name is wanted");
    if (guest->memory_mib == 0) {
        return config_error(path, "key memory_mib: the guest's memory is wanted");
    }
    if (guest->vcpus == 0) return config_error(path, "key vcpus: at least 1 is wanted");
    return guest;
}

Result<GuestDefinition> load_definition(const std::string& directory, const std::string& driver,
                                        const std::string& name, const CompleteSections& complete) {
    if (!valid_name(name)) {
        return fail("finding a guest", "", "its name is not valid", ErrorKind::usage);
    }
    const std::string path = directory + "/" + name + kSuffix;
    std::error_code ec;
    if (!std::filesystem::exists(path, ec)) {
        return fail("finding guest " + name, path, "it is not defined on this host",
                    ErrorKind::not_found);
    }
    Result<GuestDefinition> definition = load_guest_definition(path, complete);
    if (!definition) return definition;
    const std::string fault = fault_of(*definition, name, driver);
    if (!fault.empty()) return fail("reading a guest definition", path, fault, ErrorKind::usage);
    return definition;
}

std::vector<GuestDefinition> load_definitions(const std::string& directory,
                                              const std::string& driver,
                                              const CompleteSections& complete) {
    std::vector<GuestDefinition> definitions;
    std::error_code ec;
    std::filesystem::directory_iterator files(directory, ec);
    if (ec) log_warning("no guest definitions in " + directory + ": " + ec.message());
    for (; !ec && files != std::filesystem::directory_iterator(); files.increment(ec)) {
        const std::filesystem::path path = files->path();
        if (path.extension() != kSuffix) continue;
        Result<GuestDefinition> definition =
            load_definition(directory, driver, path.stem(), complete);
        if (definition) {
            definitions.push_back(std::move(*definition));
        } else {
            log_warning("leaving out a guest: " + definition.error().text());
        }
    }
    std::sort(definitions.begin(), definitions.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return definitions;
}

// Its own driver's part only: what a release knows of other VMMs changes no guest.
std::string definition_digest(const GuestDefinition& definition) {
    json::value parts = to_json(definition);
    for (const char* driver : {"qemu", "xen"}) {
        if (definition.driver != driver) parts.as_object().stable_erase(driver);
    }
    // As before there were any.
    if (definition.adapters == 0) parts.as_object().stable_erase("adapters");
    return digest_of(json::serialize(parts));
}

}  // namespace grl::bridge
