// How an interposer joins its process to the step, whichever communication library it is for.
#pragma once

#include "grl/page/gate.h"

namespace grl {

// Before the communication library comes up, for ranks of which some may not have us: tells the
// others that this one does. False, after one line to the user, where a line page is named and this
// cannot be had; false without a word where none is. After false, nobody joins.
bool announce_step();
// After true, where the communication library has not come up.
void retract_step();

// Loads the agent library and joins `gate`, whose `ops` are set, for `ranks` ranks; `threaded`:
// many threads may call at once. No other thread may pass the gate meanwhile. Not joined: as above.
Joined join_step(Gate& gate, int ranks, bool threaded);

// All ranks or none: one without an agent would leave the others' fences waiting for ever.
// Collective; `least` is given this rank's 1 or 0 and returns the least of all ranks. It is not
// called where all ranks know already: some of them may not know of us.
template <class Least>
void join_step_together(Gate& gate, int ranks, bool threaded, Least least) {
    const Joined joined = join_step(gate, ranks, threaded);
    if (joined == Joined::nowhere) return;
    const bool all_joined = least(joined == Joined::joined ? 1 : 0) != 0;
    if (joined == Joined::joined && !all_joined) gate.leave(&gate, false);
}

}  // namespace grl
