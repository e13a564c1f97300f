// The stages of a restore, as a table (state_table.h).
//
//              ┌────────── the line before ──────┐
//              ▼                                 │
//   wait ─► check ─► look ─► place ─► verify ────┴► fence ─► raise ─► destroy ─► restore ─► …
//     └───────┴────────┴───────┴────────┴─────────────┴────────┤          │         │
//                                                   job as before         │       clean
//                                                              ▼          ▼         ▼
//                                                            failed ◄─────┴─────────┘
//   … restore ─► resume ─► rejoin ─► done
//        └─────────┴─► clean   └─► failed
//
// wait     a line of the job that is under way comes to its end
// check    Slurm still runs the job, alone on its nodes; the line is there
// look     which hosts are lost
// place    there is room for every guest, and on which host
// verify   these hosts have read the images whole and could load them. If the line is damaged and
//          no other was asked for, the line before it is tried
// fence    hosts that are lost are turned off, so that no copy of a guest runs there
// raise    the new generation is on disk before a guest of it runs
// destroy  what is left of the job's guests goes, with the connections of their masters
// clean    restored halves go. After `resume` they stay: the job may be running already
//
// All that can say no comes before `fence` and `destroy`: until then nothing has been touched, and
// a job that runs goes on running.
// A restore that failed may be asked for again: it begins by destroying.
#pragma once

#include <boost/describe/enum.hpp>

#include "coordinator/config.h"
#include "coordinator/engine/state_table.h"

namespace grl::coordinator {

enum class RestoreState {
    wait,
    check,
    look,
    place,
    verify,
    fence,
    raise,
    destroy,
    restore,
    resume,
    rejoin,
    clean,
    done,
    failed
};
BOOST_DESCRIBE_ENUM(RestoreState, wait, check, look, place, verify, fence, raise, destroy, restore,
                    resume, rejoin, clean, done, failed)

// damaged: the line cannot be restored, and another is to be tried. host_lost: one on which guests
// are to be.
enum class RestoreEvent { ok, failed, timeout, host_lost, damaged };
BOOST_DESCRIBE_ENUM(RestoreEvent, ok, failed, timeout, host_lost, damaged)

using RestoreTable = StateTable<RestoreState, RestoreEvent>;
const RestoreTable& restore_table();

// Masters of the job are let in: before, they would be those of the life that is over.
inline bool takes_masters(RestoreState state) {
    return state == RestoreState::resume || state == RestoreState::rejoin;
}

}  // namespace grl::coordinator
