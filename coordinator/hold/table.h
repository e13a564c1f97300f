// The states of a hold: a job whose guests stand still until it is let go, as a table
// (engine/state_table.h).
//
//   request ─► prepare ─► drain ─► freeze ─► hold ─► release ─► done
//      │          │         └────────┴───┬─────┴────────┘
//      │          ▼                      ▼
//      │       discard ─► aborted ◄──── undo
//      └─────────────────────┘
//
// and where a line is kept, in place of freeze ─► hold:
//
//   freeze ─► capture ─► hold_images ─► hold_manifest ─► hold
//     └──────────┴────┬──────┘               │            └─ parted ─► done
//                     ▼                      ▼
//                   undo                 hold_undo ─► erase ─► discard
//
// One table for both kinds of hold, with or without a line that is committed while the guests stand
// still: they part at one event after freeze (all_held, or all_frozen) and are the same again from
// `hold` on. Two tables would say all but four states twice.
//
// Once the line is committed it stands, whatever becomes of the hold. When a host goes or a restore
// begins (parted), nobody is let go: what is left of the job stands still until it is restored.
// hold_undo is undo where a manifest may stand, which goes afterwards: a bridge deletes no line
// that still holds guests on it.
//
// undo, discard, erase: as a line's (lines/table.h).
#pragma once

#include <boost/describe/enum.hpp>

#include "coordinator/lines/job_table.h"

namespace grl::coordinator {

enum class HoldState {
    request,        // may the job be held now? Its number
    prepare,        // bridges open files while the job runs, if a line is kept
    drain,          // masters bring their ranks to silence
    freeze,         // bridges stop the guests
    capture,        // bridges cut the stopped guests
    hold_images,    // images become durable
    hold_manifest,  // one bridge writes the manifest
    hold,           // they stay stopped
    release,        // bridges resume, masters open the gates
    undo,
    hold_undo,
    erase,
    discard,
    done,
    aborted,
};
BOOST_DESCRIBE_ENUM(HoldState, request, prepare, drain, freeze, capture, hold_images, hold_manifest,
                    hold, release, undo, hold_undo, erase, discard, done, aborted)

enum class HoldEvent {
    admitted,
    all_prepared,
    all_silent,
    all_frozen,  // and a line is kept
    all_held,    // all_frozen, and none is
    all_captured,
    all_durable,
    manifest_written,
    let_go,  // the hold's end
    parted,  // a host or guest is gone, or a restore begins; the line stands
    all_released,
    all_undone,
    failed,
    timeout,
    bridge_lost,
    master_lost,
    image_failed,
    cancel,
};
BOOST_DESCRIBE_ENUM(HoldEvent, admitted, all_prepared, all_silent, all_frozen, all_held,
                    all_captured, all_durable, manifest_written, let_go, parted, all_released,
                    all_undone, failed, timeout, bridge_lost, master_lost, image_failed, cancel)

using HoldTable = StateTable<HoldState, HoldEvent, JobStateRow<HoldState>>;
const HoldTable& hold_table();

}  // namespace grl::coordinator
