// How an interposer joins its process to the step, whichever communication library it is for.
#pragma once

#include "grl/gate.h"

namespace grl {

// Loads the agent library and joins `gate`, whose `ops` are set, for `ranks` ranks; `threaded`:
// many threads may call at once. No other thread may pass the gate meanwhile. False, after one line
// to the user, where a line page is named and this cannot be had; false without a word where none
// is.
bool join_step(Gate& gate, int ranks, bool threaded);

}  // namespace grl
