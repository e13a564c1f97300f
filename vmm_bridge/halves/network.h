// The half that talks to the coordinator. It holds no rights, knows no guest and touches no file
// but the MUNGE socket.
//
//     connecting ──► connected ── lost ──► waiting (0.2 s, doubling to 5 s) ──► connecting …
//         └───────────── failed ──────────────┘
//
// While connected: requests pass to the privileged half, replies, progress and events back.
#pragma once

#include "grl/base/file.h"
#include "vmm_bridge/config.h"

namespace grl::bridge {

// Runs until the privileged half ends; the process's exit status. `peer` leads to that half; so
// does `streams`, for connections to other hosts (stream_opener.h).
int run_network_half(const BridgeConfig& config, Fd peer, Fd streams);

}  // namespace grl::bridge
