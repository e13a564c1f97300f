// The half that holds the VMM and the checkpoint directory, and takes verbs.h's verbs from the
// other.
//
//     opening (VMM found, guests taken over) ──► serving ──► leaving (no guest is left standing
//     still) on SIGTERM, SIGINT or the other half's end ──► exit
#pragma once

#include "grl/base/file.h"
#include "vmm_bridge/config.h"
#include "vmm_bridge/halves/stream_keeper.h"

namespace grl::bridge {

// The process's exit status. `peer` leads to the network half, `streams` brings
// connections to other hosts from it. Guests that run go on running.
int run_privileged_half(const BridgeConfig& config, Fd peer, Fd streams, StreamKeeper keeper);

}  // namespace grl::bridge
