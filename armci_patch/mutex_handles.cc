// ARMCI-MPI's mutex handles: as in mutex.cc. ARMCI_Lock is made of them, so what is called inside
// another call is that other's business.
#include "armci_patch/interposer.h"
#include "armci_patch/wrapped.h"

using namespace grl;

namespace {

bool nested() {
    const CompletionPass pass;
    return !pass.outermost();
}

// A rank that waits for a mutex has nothing outstanding.
void fence_before_waiting() {
    const Gate& gate = g_armci.gate;
    if (gate.agent != nullptr && !nested() && outstanding(*gate.slot) != 0) ARMCI_AllFence();
}

// Before the pass ends: the exit lets a holder through.
void hold(const GatePass& pass) {
    Gate& gate = g_armci.gate;
    if (pass.outermost()) count(gate, gate.lead->held, 1U);
}

void let_go(const GatePass& pass) {
    Gate& gate = g_armci.gate;
    if (pass.outermost() && gate.lead->held.load(std::memory_order_relaxed) != 0)
        count(gate, gate.lead->held, -1U);
}

}  // namespace

extern "C" void __wrap_ARMCIX_Lock_hdl(armcix_mutex_hdl_t handle, int mutex, int proc) {
    fence_before_waiting();
    const WaitingPass pass;
    __real_ARMCIX_Lock_hdl(handle, mutex, proc);
    hold(pass);
}

extern "C" int __wrap_ARMCIX_Trylock_hdl(armcix_mutex_hdl_t handle, int mutex, int proc) {
    fence_before_waiting();
    const WaitingPass pass;  // ARMCI-MPI's waits, as a lock does
    const int status = __real_ARMCIX_Trylock_hdl(handle, mutex, proc);
    if (status == 0) hold(pass);
    return status;
}

extern "C" void __wrap_ARMCIX_Unlock_hdl(armcix_mutex_hdl_t handle, int mutex, int proc) {
    const CompletionPass pass;
    __real_ARMCIX_Unlock_hdl(handle, mutex, proc);
    let_go(pass);
}
