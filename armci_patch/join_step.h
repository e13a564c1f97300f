// How an interposer joins its process to the step, whichever communication library it is for.
#pragma once

#include "grl/gate.h"

namespace grl {

// Loads the agent library and joins `gate`, whose `ops` are set, for `ranks` ranks; `threaded`:
// many threads may call at once. No other thread may pass the gate meanwhile. False, after one line
// to the user, where a line page is named and this cannot be had; false without a word where none
// is.
bool join_step(Gate& gate, int ranks, bool threaded);

// Before the communication library comes up, for ranks of which some may not have us: tells the
// others that this rank will join, with the data that all exchange while it comes up. Then
// join_step is for all or for none. False as above.
bool announce_step();

// All ranks or none: one without an agent would leave the others' fences waiting for ever.
// Collective; `least` is given this rank's 1 or 0 and returns the least of all ranks.
template <class Least>
void join_step_together(Gate& gate, int ranks, bool threaded, Least least) {
    const bool joined = join_step(gate, ranks, threaded);
    const bool all_joined = least(joined ? 1 : 0) != 0;
    if (joined && !all_joined) gate.leave(&gate, false);
}

}  // namespace grl
