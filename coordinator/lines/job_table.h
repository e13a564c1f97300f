// What the tables of a line, a hold and a move have in common.
#pragma once

#include "coordinator/engine/state_table.h"
#include "grl/messages/phase.h"

namespace grl::coordinator {

// How the gates of the job's ranks stand in a state, and so what becomes of a master that was away
// and is back, or says that its gates are open.
enum class Gates {
    apart,    // not a matter of this state
    closing,  // ranks fall silent; gates that open here void the silence
    shut,     // likewise; a master that is back waits for its release
    still,    // a master that is back waits for its release; there is no cut that it could void
    opening,  // masters are being released
    opened,   // all were; one that has missed it is released again
    undone,   // masters open them without a cut
};

template <class S>
struct JobStateRow {
    S state;
    Phase phase;  // it is reported as
    std::uint32_t Deadlines::*limit;
    Gates gates;
};

}  // namespace grl::coordinator
