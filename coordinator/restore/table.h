// The stages of a restore, as a table (state_table.h).
//
//   wait ─► check ─► fence ─► destroy ─► place ─► restore ─► raise ─► resume ─► rejoin ─► done
//     └───────┴────────┴─────────┴─────────┤         └─────────┴────────┤          │
//                                          │                         clean         │
//                                          ▼                            │          │
//                                        failed ◄───────────────────────┴──────────┘
//
// wait     a line of the job that is under way comes to its end
// check    Slurm still runs the job, alone on its nodes; the line is there; there is room
// fence    hosts that are lost are turned off, so that no copy of a guest runs there
// destroy  what is left of the job's guests goes, with the connections of their masters
// raise    the new generation is on disk before a guest of it runs
// clean    restored halves go. After `resume` they stay: the job may be running already
//
// A restore that failed may be asked for again: it begins by destroying.
#pragma once

#include <boost/describe/enum.hpp>

#include "coordinator/config.h"
#include "coordinator/engine/state_table.h"

namespace grl::coordinator {

enum class RestoreState {
    wait,
    check,
    fence,
    destroy,
    place,
    restore,
    raise,
    resume,
    rejoin,
    clean,
    done,
    failed
};
BOOST_DESCRIBE_ENUM(RestoreState, wait, check, fence, destroy, place, restore, raise, resume,
                    rejoin, clean, done, failed)

enum class RestoreEvent { ok, failed, timeout, host_lost };
BOOST_DESCRIBE_ENUM(RestoreEvent, ok, failed, timeout, host_lost)

using RestoreTable = StateTable<RestoreState, RestoreEvent>;
const RestoreTable& restore_table();

// Masters of the job are let in: before, they would be those of the life that is over.
inline bool takes_masters(RestoreState state) {
    return state == RestoreState::resume || state == RestoreState::rejoin;
}

}  // namespace grl::coordinator
