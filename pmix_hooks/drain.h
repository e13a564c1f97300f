// Makes the application's thread quiet for one attempt. For the agent's thread.
#pragma once

#include "grl/page/gate.h"

namespace grl {

struct Quiet {
    bool refused = false;  // for one of the two:
    bool closed = false;   // the attempt was closed first
    Doubt doubt = Doubt::none;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;  // issued and not completed, though quiet
};

// Blocks until the thread is quiet and the gate sealed, or the attempt closed. Bounded by the
// page's grace_ns, unless a mutex holder keeps making calls: then only the master's close ends it.
Quiet drain(Gate& gate, std::uint32_t attempt);

// Asks the kernel for membarrier(); false where there is none. Once per process.
bool barrier_register();
inline constexpr const char* kNoBarrier = "the kernel has no membarrier()";

}  // namespace grl
