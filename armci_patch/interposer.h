// The interposer's one static context: the process's gate and what is outstanding behind it.
#pragma once

#include "armci_patch/gated_registry.h"
#include "armci_patch/outstanding.h"

namespace grl {

using Interposer = GatedRegistry<Outstanding>;

extern Interposer g_armci;

inline Interposer::Access outstanding() {
    return g_armci.registry();
}

// Calls that begin a one-sided operation; the destructor counts when the call has returned.
struct Begin : OperationPass {
    [[gnu::always_inline]] Begin(const char* call, int target)
        : OperationPass(g_armci.gate, call, target) {}
};

// put, nb_put: complete at the target only when fenced.
struct PutPass : Begin {
    int target;
    [[gnu::always_inline]] PutPass(const char* call, int proc) : Begin(call, proc), target(proc) {}
    [[gnu::always_inline]] ~PutPass() {
        if (counts()) outstanding()->wrote(target);
    }
};

// get, rmw: complete on return.
struct GetPass : Begin {
    [[gnu::always_inline]] GetPass(const char* call, int proc) : Begin(call, proc) {}
    [[gnu::always_inline]] ~GetPass() { complete(1); }
};

struct NbGetPass : Begin {
    int target;
    const armci_hdl_t* handle;
    [[gnu::always_inline]] NbGetPass(const char* call, int proc, const armci_hdl_t* hdl)
        : Begin(call, proc), target(proc), handle(hdl) {}
    [[gnu::always_inline]] ~NbGetPass() {
        if (counts()) outstanding()->reads(target, handle);
    }
};

// A call that returns only when peers act.
struct WaitingPass : GatePass {
    [[gnu::always_inline]] WaitingPass() : GatePass(g_armci.gate, CallClass::waiting) {}
};

// A call that completes operations.
struct CompletionPass : GatePass {
    [[gnu::always_inline]] CompletionPass() : GatePass(g_armci.gate, CallClass::completion) {}
};

}  // namespace grl
