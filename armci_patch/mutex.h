// What ARMCI's mutexes and ARMCI-MPI's handles of them have in common. A rank that waits for one
// has nothing outstanding, so its operations cannot be deferred for as long as a parked holder
// keeps it; a holder is let through a shut gate until its unlock. What is called inside another
// call is that other's business.
#pragma once

#include "armci_patch/interposer.h"

namespace grl {

inline void fence_before_waiting() {
    if (g_armci.gate.agent == nullptr || outstanding(*g_armci.gate.slot) == 0) return;
    const bool nested = !CompletionPass().outermost();
    if (!nested) ARMCI_AllFence();
}

// Before the pass ends: the exit lets a holder through.
inline void hold(const GatePass& pass) {
    Gate& gate = g_armci.gate;
    if (pass.outermost()) count(gate, gate.lead->held, 1);
}

inline void let_go(const GatePass& pass) {
    Gate& gate = g_armci.gate;
    if (pass.outermost() && gate.lead->held.load(std::memory_order_relaxed) != 0)
        count(gate, gate.lead->held, std::uint32_t(-1));
}

}  // namespace grl
