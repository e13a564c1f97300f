// Fences, waits and the barrier: what they complete is told to the gate after they return.
#include "armci_patch/interposer.h"

using namespace grl;

extern "C" void ARMCI_Fence(int proc) {
    const CompletionPass pass;
    PARMCI_Fence(proc);
    g_armci.end(outstanding()->fenced(proc));
}

extern "C" void ARMCI_AllFence(void) {
    const CompletionPass pass;
    PARMCI_AllFence();
    g_armci.end(outstanding()->fenced_all());
}

extern "C" void ARMCI_Barrier(void) {
    const WaitingPass pass;
    PARMCI_Barrier();  // fences all before it waits
    g_armci.end(outstanding()->fenced_all());
}

// Waits complete writes locally only, so they end reads.
extern "C" int ARMCI_Wait(armci_hdl_t* handle) {
    const CompletionPass pass;
    const int status = PARMCI_Wait(handle);
    g_armci.end(outstanding()->waited(handle));
    return status;
}

extern "C" int ARMCI_Test(armci_hdl_t* handle) {
    const CompletionPass pass;
    const int status = PARMCI_Test(handle);
    if (status == 0) g_armci.end(outstanding()->waited(handle));
    return status;
}

extern "C" int ARMCI_WaitProc(int proc) {
    const CompletionPass pass;
    const int status = PARMCI_WaitProc(proc);
    g_armci.end(outstanding()->waited(proc));
    return status;
}

extern "C" int ARMCI_WaitAll(void) {
    const CompletionPass pass;
    const int status = PARMCI_WaitAll();
    g_armci.end(outstanding()->waited_all());
    return status;
}
