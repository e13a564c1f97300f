// The application thread's side of a shut gate: let through, or finish, park and wait.
#pragma once

#include "grl/gate.h"

namespace grl {

void slow_enter(Gate* gate, CallClass call);
void slow_exit(Gate* gate);

// Has the attempt in which `gate` was sealed not been closed yet?
bool sealed_now(const Gate& gate);

}  // namespace grl
