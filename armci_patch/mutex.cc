// Mutexes: a rank that waits for one has nothing outstanding, so its operations cannot be deferred
// for as long as a parked holder keeps it; a holder is let through a shut gate until its unlock.
#include "armci_patch/interposer.h"

using namespace grl;

extern "C" void ARMCI_Lock(int mutex, int proc) {
    Gate& gate = g_armci.gate;
    if (gate.agent != nullptr && outstanding(*gate.slot) != 0) ARMCI_AllFence();
    const WaitingPass pass;
    PARMCI_Lock(mutex, proc);
    count(gate, gate.lead->held, 1U);  // before the pass ends: the exit lets a holder through
}

extern "C" void ARMCI_Unlock(int mutex, int proc) {
    const CompletionPass pass;
    PARMCI_Unlock(mutex, proc);
    Gate& gate = g_armci.gate;
    if (gate.lead->held.load(std::memory_order_relaxed) != 0) count(gate, gate.lead->held, -1U);
}
