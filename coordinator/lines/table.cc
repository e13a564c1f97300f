#include "coordinator/lines/table.h"

#include <array>

namespace grl::coordinator {

namespace {

using S = LineState;
using E = LineEvent;
using Row = Transition<S, E>;

constexpr std::array kStates = {
    LineStateRow{S::request, Phase::request, &Deadlines::prepare_ms},
    LineStateRow{S::prepare, Phase::prepare, &Deadlines::prepare_ms},
    LineStateRow{S::copy, Phase::precopy, &Deadlines::precopy_ms},
    LineStateRow{S::precopy, Phase::precopy, &Deadlines::precopy_ms},
    LineStateRow{S::drain, Phase::drain, &Deadlines::drain_ms},
    LineStateRow{S::freeze, Phase::silence, &Deadlines::freeze_ms},
    LineStateRow{S::capture, Phase::capture, &Deadlines::capture_ms},
    LineStateRow{S::hold_images, Phase::commit, &Deadlines::commit_ms},
    LineStateRow{S::hold_manifest, Phase::commit, &Deadlines::commit_ms},
    LineStateRow{S::hold, Phase::hold, nullptr},
    LineStateRow{S::switchover, Phase::switchover, &Deadlines::switch_ms},
    LineStateRow{S::note, Phase::switchover, &Deadlines::prepare_ms},
    LineStateRow{S::give, Phase::switchover, &Deadlines::release_ms},
    LineStateRow{S::wake, Phase::release, &Deadlines::release_ms},
    LineStateRow{S::go_on, Phase::release, &Deadlines::release_ms},
    LineStateRow{S::clear, Phase::commit, &Deadlines::fence_ms},
    LineStateRow{S::strand, Phase::aborted, &Deadlines::release_ms},
    LineStateRow{S::release, Phase::release, &Deadlines::release_ms},
    LineStateRow{S::images, Phase::commit, &Deadlines::commit_ms},
    LineStateRow{S::manifest, Phase::commit, &Deadlines::commit_ms},
    LineStateRow{S::undo, Phase::aborted, &Deadlines::release_ms},
    LineStateRow{S::hold_undo, Phase::aborted, &Deadlines::release_ms},
    LineStateRow{S::erase, Phase::aborted, &Deadlines::release_ms},
    LineStateRow{S::discard, Phase::aborted, &Deadlines::release_ms},
    LineStateRow{S::done, Phase::done, nullptr},
    LineStateRow{S::aborted, Phase::aborted, nullptr},
};

constexpr std::array kTransitions = {
    Row{S::request, E::admitted, S::prepare},
    Row{S::request, E::may_move, S::precopy},
    Row{S::request, E::failed, S::aborted},
    Row{S::request, E::timeout, S::aborted},
    Row{S::request, E::cancel, S::aborted},

    Row{S::prepare, E::all_prepared, S::drain},
    Row{S::prepare, E::may_copy, S::copy},
    Row{S::prepare, E::failed, S::discard},
    Row{S::prepare, E::timeout, S::discard},
    Row{S::prepare, E::bridge_lost, S::discard},
    Row{S::prepare, E::master_lost, S::discard},
    Row{S::prepare, E::image_failed, S::discard},
    Row{S::prepare, E::cancel, S::discard},

    Row{S::copy, E::all_copied, S::drain},
    Row{S::copy, E::failed, S::discard},
    Row{S::copy, E::timeout, S::discard},
    Row{S::copy, E::bridge_lost, S::discard},
    Row{S::copy, E::master_lost, S::discard},
    Row{S::copy, E::image_failed, S::discard},
    Row{S::copy, E::cancel, S::discard},

    // That a master goes is the end of its job, and none of the guest's move.
    Row{S::precopy, E::all_copied, S::drain},
    Row{S::precopy, E::went_ahead, S::switchover},
    Row{S::precopy, E::failed, S::discard},
    Row{S::precopy, E::timeout, S::discard},
    Row{S::precopy, E::bridge_lost, S::discard},
    Row{S::precopy, E::image_failed, S::discard},
    Row{S::precopy, E::cancel, S::discard},

    Row{S::drain, E::all_silent, S::freeze},
    Row{S::drain, E::all_quiet, S::switchover},
    Row{S::drain, E::went_ahead, S::switchover},
    Row{S::drain, E::failed, S::undo},
    Row{S::drain, E::timeout, S::undo},
    Row{S::drain, E::bridge_lost, S::undo},
    Row{S::drain, E::master_lost, S::undo},
    Row{S::drain, E::image_failed, S::undo},
    Row{S::drain, E::cancel, S::undo},

    // From here to the release a master stands still with its guest: that its connection breaks
    // says nothing. It comes back and is told how the line went.
    Row{S::freeze, E::all_frozen, S::capture},
    Row{S::freeze, E::all_held, S::hold},
    Row{S::freeze, E::failed, S::undo},
    Row{S::freeze, E::timeout, S::undo},
    Row{S::freeze, E::bridge_lost, S::undo},
    Row{S::freeze, E::image_failed, S::undo},
    Row{S::freeze, E::cancel, S::undo},

    Row{S::capture, E::all_captured, S::release},
    Row{S::capture, E::all_kept, S::hold_images},
    Row{S::capture, E::failed, S::undo},
    Row{S::capture, E::timeout, S::undo},
    Row{S::capture, E::bridge_lost, S::undo},
    Row{S::capture, E::image_failed, S::undo},
    Row{S::capture, E::cancel, S::undo},

    Row{S::hold_images, E::all_durable, S::hold_manifest},
    Row{S::hold_images, E::failed, S::undo},
    Row{S::hold_images, E::timeout, S::undo},
    Row{S::hold_images, E::bridge_lost, S::undo},
    Row{S::hold_images, E::image_failed, S::undo},
    Row{S::hold_images, E::cancel, S::undo},

    // No cancel, as in manifest.
    Row{S::hold_manifest, E::manifest_written, S::hold},
    Row{S::hold_manifest, E::failed, S::hold_undo},
    Row{S::hold_manifest, E::timeout, S::hold_undo},

    Row{S::hold, E::let_go, S::release},
    Row{S::hold, E::parted, S::done},
    Row{S::hold, E::failed, S::undo},
    Row{S::hold, E::bridge_lost, S::undo},
    Row{S::hold, E::image_failed, S::undo},
    Row{S::hold, E::cancel, S::undo},

    Row{S::switchover, E::all_arrived, S::note},
    Row{S::switchover, E::failed, S::undo},
    Row{S::switchover, E::timeout, S::undo},
    Row{S::switchover, E::bridge_lost, S::undo},
    Row{S::switchover, E::image_failed, S::undo},
    Row{S::switchover, E::cancel, S::undo},

    Row{S::note, E::noted, S::give},
    Row{S::note, E::failed, S::undo},
    Row{S::note, E::timeout, S::undo},
    Row{S::note, E::bridge_lost, S::undo},
    Row{S::note, E::image_failed, S::undo},
    Row{S::note, E::cancel, S::undo},

    Row{S::give, E::all_given, S::wake},
    Row{S::give, E::failed, S::strand},
    Row{S::give, E::timeout, S::strand},
    Row{S::give, E::bridge_lost, S::strand},

    // It runs there: nothing turns that back any more.
    Row{S::wake, E::all_released, S::go_on},
    Row{S::wake, E::failed, S::go_on},
    Row{S::wake, E::timeout, S::go_on},
    Row{S::wake, E::bridge_lost, S::go_on},
    Row{S::wake, E::image_failed, S::go_on},
    Row{S::wake, E::cancel, S::go_on},
    Row{S::go_on, E::all_released, S::clear},
    Row{S::go_on, E::failed, S::clear},
    Row{S::go_on, E::timeout, S::clear},
    Row{S::clear, E::all_cleared, S::done},
    Row{S::clear, E::failed, S::done},
    Row{S::clear, E::timeout, S::done},
    Row{S::clear, E::bridge_lost, S::done},

    Row{S::strand, E::all_undone, S::aborted},
    Row{S::strand, E::timeout, S::aborted},

    // An image that fails here waits for `images`: the job's release comes first.
    Row{S::release, E::all_released, S::images},
    Row{S::release, E::went_on, S::done},
    Row{S::release, E::failed, S::undo},
    Row{S::release, E::timeout, S::undo},
    Row{S::release, E::bridge_lost, S::undo},
    Row{S::release, E::cancel, S::undo},

    Row{S::images, E::all_durable, S::manifest},
    Row{S::images, E::failed, S::discard},
    Row{S::images, E::timeout, S::discard},
    Row{S::images, E::bridge_lost, S::discard},
    Row{S::images, E::image_failed, S::discard},
    Row{S::images, E::cancel, S::discard},

    // No cancel: the line is all but there, and half a commit is the worst place to stop.
    Row{S::manifest, E::manifest_written, S::done},
    Row{S::manifest, E::failed, S::erase},
    Row{S::manifest, E::timeout, S::erase},

    Row{S::undo, E::all_undone, S::aborted},
    Row{S::undo, E::timeout, S::aborted},
    Row{S::hold_undo, E::all_undone, S::erase},
    Row{S::hold_undo, E::timeout, S::erase},
    Row{S::erase, E::all_undone, S::discard},
    Row{S::erase, E::timeout, S::discard},
    Row{S::discard, E::all_undone, S::aborted},
    Row{S::discard, E::timeout, S::aborted},
};

bool turns_back(E event) {
    return event == E::failed || event == E::timeout || event == E::bridge_lost ||
           event == E::master_lost || event == E::image_failed || event == E::cancel ||
           event == E::parted;
}

}  // namespace

std::span<const LineStateRow> line_states() {
    return kStates;
}
std::span<const Row> line_transitions() {
    return kTransitions;
}

const LineStateRow& line_state_row(LineState state) {
    for (const LineStateRow& row : kStates) {
        if (row.state == state) return row;
    }
    return kStates.back();
}

bool LineMachine::take(LineEvent event, const std::string& reason) {
    const auto to = next_state(line_transitions(), state_, event);
    if (!to) return false;
    state_ = *to;
    if (turns_back(event) && reason_.empty()) {
        reason_ = reason.empty() ? name_of(event) : reason;
    }
    return true;
}

}  // namespace grl::coordinator
