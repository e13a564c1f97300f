#include "vmm_bridge/config.h"

#include "grl/base/config.h"
#include "grl/messages/manifest.h"

namespace grl::bridge {

Result<BridgeConfig> load_bridge_config(const std::string& path) {
    auto config = load_config<BridgeConfig>(path);
    if (!config) return config;
    if (!valid_name(config->cluster)) return config_error(path, "key cluster: a name is wanted");
    if (!valid_name(config->bridge.host)) {
        return config_error(path, "key bridge.host: a name is wanted");
    }
    if (config->bridge.memory_mib == 0) {
        return config_error(path, "key bridge.memory_mib: the MiB that guests may take are wanted");
    }
    if (config->bridge.zstd_level < 1 || config->bridge.zstd_level > 19) {
        return config_error(path, "key bridge.zstd_level: 1 to 19 is wanted");
    }
    return config;
}

}  // namespace grl::bridge
