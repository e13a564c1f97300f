// Does a function that has noted its frame still stand on the stack? Exceptions, longjmp and what
// else leaves a call are alike to it.
#pragma once

#include "grl/page/gate.h"

namespace grl {

enum class Standing {
    standing,
    left,
    elsewhere,  // its stack is not the calling thread's
    unknown,    // a function without unwind tables is on the way
};

// Never `left` of a function that is still on the way up, nor of another stack's. Walks up the calling
// thread's stack: microseconds, no locks held, nothing of MPI.
Standing standing_of(const PassFrame& frame);

}  // namespace grl
