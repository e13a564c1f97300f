// The states of a guest's move to another host, as a table (engine/state_table.h).
//
//   request ─► precopy ─► drain ─► switchover ─► note ─► give ─► wake ─► go_on ─► clear ─► done
//                 │ │       │ │       ▲  │         │       │
//                 │ └───────┼─┴───────┘  │         │       ▼
//                 │         └───► undo ◄─┴─────────┘    strand ─► aborted
//                 └► discard ─► aborted ◄─┘
//
// switchover is entered without a silence where the VMM has stopped the guest by itself, as so
// little was left. give is the point of no return: from the word on that it may run there, it is
// nobody's here. What becomes of a guest whose new host does not answer to that word (strand) is
// settled when that is known (moves.h). The moved guest's master is released before the others
// (wake): what they send to a guest that is not back on the network is lost, and their transports
// try again after ever longer times.
//
// undo     ranks may be silent, the guest stopped: both bridges drop the move (the guest runs
//          here), masters open the gates
// discard  the job runs: both bridges drop the move
#pragma once

#include <boost/describe/enum.hpp>

#include "coordinator/lines/job_table.h"

namespace grl::coordinator {

enum class MoveState {
    request,     // can the job on it be brought to silence?
    precopy,     // the guest's memory goes over while it runs
    drain,       // masters bring their ranks to silence
    switchover,  // stopped here, the rest goes over
    note,        // the catalog knows that it is given away
    give,        // it may run there
    wake,        // its own master opens the gates
    go_on,       // all masters do
    clear,       // what is left of it here goes
    strand,      // whether it runs there is not known; the others go on
    undo,
    discard,
    done,
    aborted,
};
BOOST_DESCRIBE_ENUM(MoveState, request, precopy, drain, switchover, note, give, wake, go_on, clear,
                    strand, undo, discard, done, aborted)

enum class MoveEvent {
    admitted,
    all_copied,
    went_ahead,  // the VMM has stopped the guest by itself
    all_silent,
    all_arrived,
    noted,
    all_given,
    all_released,
    all_cleared,
    all_undone,   // everyone who can has undone his part
    failed,       // a part said no
    timeout,      // the state's deadline has passed
    bridge_lost,  // a bridge whose part is still needed is gone
    master_lost,  // a master that should fall silent is gone
    guest_died,
    cancel,  // from outside: shutdown, restore
};
BOOST_DESCRIBE_ENUM(MoveEvent, admitted, all_copied, went_ahead, all_silent, all_arrived, noted,
                    all_given, all_released, all_cleared, all_undone, failed, timeout, bridge_lost,
                    master_lost, guest_died, cancel)

using MoveTable = StateTable<MoveState, MoveEvent, JobStateRow<MoveState>>;
const MoveTable& move_table();

}  // namespace grl::coordinator
