// ARMCI-MPI's mutex handles, of which ARMCI_Lock is made.
#include "armci_patch/mutex.h"
#include "armci_patch/wrapped.h"

using namespace grl;

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
