// The states of one global recovery line, as two tables. Pure: no I/O, no clock.
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
// goes from `release` to `done`. A hold goes from `freeze` to `hold`, which ends by someone's word
// or its limit, on to `release`, and from there to `done`. A hold that keeps a line commits it
// while the guests stand still:
//
//   … capture ─► hold_images ─► hold_manifest ─► hold ─► release ─► done
//                     │               ▼            └── parted ──► done
//                     ▼           hold_undo ─► erase …
//                   undo …
//
// Then the line stands, whatever becomes of the hold. When a host goes or a restore begins
// (parted), nobody is let go: what is left of the job stands still until it is restored. hold_undo
// is undo where a manifest may stand: a bridge deletes no line that still holds guests on it.
//
// A move has another middle, and no image:
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
// undo     the job may be silent or stopped: bridges abort (guests run), masters open the gates
// discard  the job runs: bridges drop their part of the line
// erase    a manifest may stand: it goes before the images do
//
// Entering `capture` takes all_frozen, the event of every bridge's reply to FreezeLine: no guest
// runs again before all are stopped. Only manifest_written leads to `done`.
#pragma once

#include <boost/describe/enum.hpp>
#include <cstdint>
#include <span>
#include <string>

#include "coordinator/config.h"
#include "coordinator/engine/state_table.h"
#include "grl/messages/phase.h"

namespace grl::coordinator {

enum class LineState {
    request,        // may the job take a line now? Its number
    prepare,        // bridges open files while the job runs
    copy,           // guests that are captured live: their memory flows out while they run
    precopy,        // of a move: the guest's memory goes over while it runs
    drain,          // masters bring their ranks to silence
    freeze,         // bridges stop the guests
    capture,        // bridges cut the stopped guests
    hold_images,    // of a hold that keeps a line: images become durable
    hold_manifest,  // likewise: one bridge writes the manifest
    hold,           // they stay stopped
    switchover,     // of a move: stopped here, the rest goes over
    note,           // the catalog knows that it is given away
    give,           // it may run there
    wake,           // its own master opens the gates
    go_on,          // all masters do
    clear,          // what is left of it here goes
    strand,         // whether it runs there is not known; the others go on
    release,        // bridges resume, masters open the gates
    images,         // the job runs; images become durable
    manifest,       // one bridge writes the manifest
    undo,
    hold_undo,  // a manifest may stand, which goes afterwards
    erase,
    discard,
    done,
    aborted,
};
BOOST_DESCRIBE_ENUM(LineState, request, prepare, copy, precopy, drain, freeze, capture, hold_images,
                    hold_manifest, hold, switchover, note, give, wake, go_on, clear, strand,
                    release, images, manifest, undo, hold_undo, erase, discard, done, aborted)

enum class LineEvent {
    admitted,
    may_move,  // admitted, of a move
    all_prepared,
    may_copy,  // all_prepared where a guest is captured live
    all_copied,
    all_silent,
    all_quiet,   // all_silent of a move
    went_ahead,  // the VMM has stopped the moving guest by itself
    all_frozen,
    all_captured,
    all_held,  // all_frozen of a hold
    all_kept,  // all_captured of a hold
    let_go,    // the hold's end
    parted,    // of a hold that has kept its line: a host or guest is gone, or a restore begins
    all_released,
    went_on,  // all_released of a line that keeps nothing
    all_arrived,
    noted,
    all_given,
    all_cleared,
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
BOOST_DESCRIBE_ENUM(LineEvent, admitted, may_move, all_prepared, may_copy, all_copied, all_silent,
                    all_quiet, went_ahead, all_frozen, all_captured, all_held, all_kept, let_go,
                    parted, all_released, went_on, all_arrived, noted, all_given, all_cleared,
                    all_durable, manifest_written, all_undone, failed, timeout, bridge_lost,
                    master_lost, image_failed, cancel)

// What a state is to the outside: the phase it is reported as, and how long it may last.
struct LineStateRow {
    LineState state;
    Phase phase;
    std::uint32_t Deadlines::*limit;  // null: it ends at once; of a hold: it has its own
};

std::span<const LineStateRow> line_states();
std::span<const Transition<LineState, LineEvent>> line_transitions();
const LineStateRow& line_state_row(LineState state);

// Walks the table and keeps the first reason that turned it back.
class LineMachine {
  public:
    // True when a new state was entered. `reason` is kept if the event leads off the straight way.
    bool take(LineEvent event, const std::string& reason = {});

    LineState state() const { return state_; }
    const std::string& reason() const { return reason_; }
    bool over() const { return state_ == LineState::done || state_ == LineState::aborted; }
    // A request that comes now is served by this line: its cut still lies ahead.
    bool before_cut() const {
        return state_ == LineState::request || state_ == LineState::prepare ||
               state_ == LineState::copy;
    }

  private:
    LineState state_ = LineState::request;
    std::string reason_;
};

}  // namespace grl::coordinator
