// The interposer's one static context: the process's gate and what is outstanding behind it.
#pragma once

#include "armci_patch/guarded.h"
#include "armci_patch/outstanding.h"
#include "grl/gate.h"

namespace grl {

struct Interposer {
    Gate gate;
    Guarded<Outstanding> outstanding;
};

extern Interposer g_armci;

inline Guarded<Outstanding>::Access outstanding() {
    return g_armci.outstanding(g_armci.gate);
}

// Calls that begin a one-sided operation; the destructor counts when the call has returned.
class Begin : public GatePass {
  public:
    [[gnu::always_inline]] Begin() : GatePass(g_armci.gate, CallClass::one_sided) {}
};

// put, nb_put: complete at the target only when fenced.
struct PutPass : Begin {
    int target;
    [[gnu::always_inline]] explicit PutPass(int proc) : target(proc) {}
    [[gnu::always_inline]] ~PutPass() {
        if (outermost()) outstanding()->wrote(target);
    }
};

// get, rmw: complete on return.
struct GetPass : Begin {
    [[gnu::always_inline]] explicit GetPass(int) {}
    [[gnu::always_inline]] ~GetPass() { complete(1); }
};

struct NbGetPass : Begin {
    int target;
    const armci_hdl_t* handle;
    [[gnu::always_inline]] NbGetPass(int proc, const armci_hdl_t* hdl)
        : target(proc), handle(hdl) {}
    [[gnu::always_inline]] ~NbGetPass() {
        if (outermost()) outstanding()->reads(target, handle);
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
