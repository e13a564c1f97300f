// The application threads' side of a shut gate: let through, or finish, park and wait.
#pragma once

#include "grl/page/gate.h"

namespace grl {

// Of any gate; they act on its lead.
void slow_enter(Gate* gate, CallClass call);
void slow_exit(Gate* gate);

// The whole of the path where several threads may call at once.
bool thread_enter(Gate* gate, CallClass call);
void thread_exit(Gate* gate, CallClass call, bool outermost);

// Has the attempt in which `gate` was sealed not been closed yet?
bool sealed_now(const Gate& gate);

}  // namespace grl
