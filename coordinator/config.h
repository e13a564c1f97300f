// The coordinator's configuration file. Keys and defaults stand in docs/configuration.md.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>

#include "grl/base/json.h"

namespace grl::coordinator {

// All in milliseconds.
struct Deadlines : Defaulted {
    std::uint32_t prepare_ms = 10'000;
    std::uint32_t drain_ms = 10'000;
    std::uint32_t freeze_ms = 5'000;
    std::uint32_t capture_ms = 30'000;  // stop to the last guest's cut
    std::uint32_t release_ms = 10'000;
    std::uint32_t precopy_ms = 600'000;  // memory of a guest that moves or goes live, while it runs
    std::uint32_t switch_ms = 60'000;            // what is left of it, and its loading
    std::uint32_t commit_ms = 600'000;           // until the images are durable
    std::uint32_t restore_ms = 120'000;          // one bridge's restore
    std::uint32_t rejoin_ms = 60'000;            // resumed guests' masters come back
    std::uint32_t fence_ms = 30'000;             // the site's fence program
    std::uint32_t silence_failsafe_ms = 60'000;  // a silent step without a word opens its gates
    std::uint32_t bridge_lost_ms = 5'000;        // a bridge away for so long counts as dead
};
BOOST_DESCRIBE_STRUCT(Deadlines, (),
                      (prepare_ms, drain_ms, freeze_ms, capture_ms, release_ms, precopy_ms,
                       switch_ms, commit_ms, restore_ms, rejoin_ms, fence_ms, silence_failsafe_ms,
                       bridge_lost_ms))

// Why they cannot work together, naming the key; empty if they can.
std::string deadlines_fault(const Deadlines& deadlines);

struct CoordinatorSection : Defaulted {
    std::string listen_cluster = "0.0.0.0:7410";  // masters, srun, grlctl
    std::string listen_hosts = "127.0.0.1:7411";  // bridges
    std::string munge_cluster;                    // socket; empty: MUNGE's default
    std::string munge_hosts = "/run/munge-hosts/munge.socket.2";
    std::string bridge_user = "nobody";  // besides root: as whom bridges speak ([bridge] user)
    std::string catalog = "/var/lib/grl/catalog.db";
    std::string fence_program;        // called with a host's name; exit 0: it is off. Empty: none
    std::string capture = "auto";     // auto, background, live, stop_copy
    std::uint32_t keep_lines = 2;     // committed lines kept of a job; older ones are deleted
    std::uint32_t moves_at_once = 2;  // guests on their way at a time
    std::uint32_t move_limit_mib_s = 0;    // for each of them; 0: as fast as it goes
    bool encrypt_moves = false;            // guests on their way from host to host
    std::uint32_t keep_moves = 1'000;      // reports kept for grlctl history
    std::uint32_t watch_nodes_ms = 1'000;  // how often Slurm is asked for drained nodes; 0: never
};
BOOST_DESCRIBE_STRUCT(CoordinatorSection, (),
                      (listen_cluster, listen_hosts, munge_cluster, munge_hosts, bridge_user,
                       catalog, fence_program, capture, keep_lines, moves_at_once, move_limit_mib_s, encrypt_moves,
                       keep_moves, watch_nodes_ms))

struct CoordinatorConfig : Defaulted {
    std::string cluster = "cluster";
    CoordinatorSection coordinator;
    Deadlines deadlines;
};
BOOST_DESCRIBE_STRUCT(CoordinatorConfig, (), (cluster, coordinator, deadlines))

Result<CoordinatorConfig> load_coordinator_config(const std::string& path);

}  // namespace grl::coordinator
