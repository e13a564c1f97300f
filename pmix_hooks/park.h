// The application threads' side of a shut gate: let through, or finish, park and wait.
#pragma once

#include "grl/page/gate.h"

namespace grl {

// Of any gate; they act on its lead.
void slow_enter(Gate* gate, CallClass call);
void slow_exit(Gate* gate);

// A call that finds one under way. Where that has been left, by an exception or a jump, this one is
// the outermost from here on, and stops like others. Else it belongs to the outer call and passes an
// unsealed gate, as peers may need it; but what begins an operation is shown and counted like
// others, and stops at a sealed gate. For the outer call may be one that holds no silence up.
PassRole nest(Gate* gate, CallClass call, PassFrame frame);
void unnest(Gate* gate, PassRole role);

// The whole of the path where several threads may call at once.
PassRole thread_enter(Gate* gate, CallClass call, PassFrame frame);
void thread_exit(Gate* gate, CallClass call, PassRole role);

// Has the attempt in which `gate` was sealed not been closed yet?
bool sealed_now(const Gate& gate);

}  // namespace grl
