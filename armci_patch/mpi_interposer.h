// The preload's one static context, and how an MPI call passes its gate.
#pragma once

#include "armci_patch/gated_registry.h"
#include "armci_patch/mpi_real.h"
#include "armci_patch/windows.h"

namespace grl {

using MpiInterposer = GatedRegistry<Windows>;

extern MpiInterposer g_mpi;

// The outermost one-sided call's, for when it does not return: an error handler may throw.
struct BegunRma {
    MPI_Win win;
    int target;
};
extern BegunRma g_begun;

inline MpiInterposer::Access windows() {
    return g_mpi.registry();
}

class MpiPass : public GatePass {
  public:
    [[gnu::always_inline]] explicit MpiPass(CallClass call) : GatePass(g_mpi.gate, call) {}
};

// A call that begins a one-sided operation; counted as outstanding when it has returned.
class RmaPass : public OperationPass {
  public:
    [[gnu::always_inline]] RmaPass(const char* call, Windows::Sort sort, MPI_Win win, int target)
        : OperationPass(g_mpi.gate, call, target), sort_(sort), win_(win), target_(target) {
        if (outermost()) g_begun = {win, target};
    }
    [[gnu::always_inline]] ~RmaPass() {
        if (counts()) windows()->began(sort_, Windows::key(win_), target_);
    }

  private:
    const Windows::Sort sort_;
    const MPI_Win win_;
    const int target_;
};

}  // namespace grl

// Both names pass the gate: Fortran's entry points and other interposers call the second. Where a
// profiling library that the program was linked with has the first, that one is called, and comes
// back by the second.
#define GRL_MPI_FUNCTION(name, parameters, arguments)                 \
    [[gnu::always_inline]] static inline int gated_##name parameters; \
    extern "C" int PMPI_##name parameters {                           \
        GRL_MPI_FIND(name);                                           \
        return gated_##name arguments;                                \
    }                                                                 \
    extern "C" int MPI_##name parameters {                            \
        GRL_MPI_FIND(name);                                           \
        if (g_profiler.name != nullptr) [[unlikely]]                  \
            return g_profiler.name arguments;                         \
        return gated_##name arguments;                                \
    }                                                                 \
    int gated_##name parameters

#define GRL_MPI_FIND(name)                   \
    if (g_real.name == nullptr) [[unlikely]] \
    find_real_mpi(__builtin_return_address(0))
