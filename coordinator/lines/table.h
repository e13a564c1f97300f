// The states of one global recovery line, as a table (engine/state_table.h).
//
//   request ─► prepare ─► drain ─► freeze ─► capture ─► release ─► images ─► manifest ─► done
//      │          │         └────────┴───┬──────┴──────────┘          │          │
//      │          │                      ▼                            │          ▼
//      │          │                    undo                           │        erase
//      │          └──────────────────────┼─────────► discard ◄────────┴──────────┘
//      └─────────────────────────────────┴────► aborted ◄┘
//
// Where a guest is captured live, its memory flows out between prepare and drain (copy), while the
// job runs; what turns that back leads to discard.
//
// A rehearsal is a line without bridges: prepare, freeze and capture have nobody to ask, and it
// goes from `release` to `done` (went_on).
//
// undo     the job may be silent or stopped: bridges abort (guests run), masters open the gates
// discard  the job runs: bridges drop their part of the line
// erase    a manifest may stand: it goes before the images do
//
// Entering `capture` takes all_frozen, the event of every bridge's reply to FreezeLine: no guest
// runs again before all are stopped. Only manifest_written makes a line.
#pragma once

#include <boost/describe/enum.hpp>

#include "coordinator/lines/job_table.h"

namespace grl::coordinator {

enum class LineState {
    request,   // may the job take a line now? Its number
    prepare,   // bridges open files while the job runs
    copy,      // guests that are captured live: their memory flows out while they run
    drain,     // masters bring their ranks to silence
    freeze,    // bridges stop the guests
    capture,   // bridges cut the stopped guests
    release,   // bridges resume, masters open the gates
    images,    // the job runs; images become durable
    manifest,  // one bridge writes the manifest
    undo,
    erase,
    discard,
    done,
    aborted,
};
BOOST_DESCRIBE_ENUM(LineState, request, prepare, copy, drain, freeze, capture, release, images,
                    manifest, undo, erase, discard, done, aborted)

enum class LineEvent {
    admitted,
    all_prepared,
    may_copy,  // all_prepared where a guest is captured live
    all_copied,
    all_silent,
    all_frozen,
    all_captured,
    all_released,
    went_on,  // all_released of a line that keeps nothing
    all_durable,
    manifest_written,
    all_undone,    // everyone who can has undone his part
    failed,        // a part said no
    timeout,       // the state's deadline has passed
    bridge_lost,   // a bridge whose part is still needed is gone
    master_lost,   // a master that should fall silent is gone
    image_failed,  // a bridge cannot get a guest's image, or the guest died
    cancel,        // from outside: shutdown, restore
};
BOOST_DESCRIBE_ENUM(LineEvent, admitted, all_prepared, may_copy, all_copied, all_silent, all_frozen,
                    all_captured, all_released, went_on, all_durable, manifest_written, all_undone,
                    failed, timeout, bridge_lost, master_lost, image_failed, cancel)

using LineTable = StateTable<LineState, LineEvent, JobStateRow<LineState>>;
const LineTable& line_table();

// A request that comes now is served by this line: its cut still lies ahead.
inline bool before_cut(LineState state) {
    return state == LineState::request || state == LineState::prepare || state == LineState::copy;
}

}  // namespace grl::coordinator
