// ARMCI's mutexes.
#include "armci_patch/mutex.h"

using namespace grl;

extern "C" void ARMCI_Lock(int mutex, int proc) {
    fence_before_waiting();
    const WaitingPass pass;
    PARMCI_Lock(mutex, proc);
    hold(pass);
}

extern "C" void ARMCI_Unlock(int mutex, int proc) {
    const CompletionPass pass;
    PARMCI_Unlock(mutex, proc);
    let_go(pass);
}
