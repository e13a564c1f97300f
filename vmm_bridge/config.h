// The bridge's configuration file. Keys and defaults stand in docs/configuration.md; guests have
// files of their own (host/definitions.h).
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "grl/base/json.h"

namespace grl::bridge {

struct BridgeSection : Defaulted {
    std::string host;  // its name; must be given
    std::string coordinator = "127.0.0.1:7411";
    std::string munge_socket = "/run/munge-hosts/munge.socket.2";
    std::string driver = "qemu";
    std::string guest_dir = "/etc/grl/guests";  // NAME.toml
    std::string image_dir = "/var/lib/grl/images";
    std::string run_dir = "/run/grl";
    std::uint64_t memory_mib = 0;  // what guests may take; must be given
    int zstd_level = 1;
    std::string user;             // whom the network half becomes; empty: nobody
    std::uint16_t move_port = 0;  // where guests that move here are awaited; 0: any free port
    std::vector<std::string> adapters;  // for guests that want some: PCI addresses
};
BOOST_DESCRIBE_STRUCT(BridgeSection, (),
                      (host, coordinator, munge_socket, driver, guest_dir, image_dir, run_dir,
                       memory_mib, zstd_level, user, move_port, adapters))

struct BridgeConfig : Defaulted {
    std::string cluster = "cluster";
    BridgeSection bridge;
};
BOOST_DESCRIBE_STRUCT(BridgeConfig, (), (cluster, bridge))

Result<BridgeConfig> load_bridge_config(const std::string& path);

}  // namespace grl::bridge
