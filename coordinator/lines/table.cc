#include "coordinator/lines/table.h"

#include <array>

namespace grl::coordinator {

namespace {

using S = LineState;
using E = LineEvent;
using G = Gates;
using Row = Transition<S, E>;

constexpr std::array kStates = {
    JobStateRow<S>{S::request, Phase::request, &Deadlines::prepare_ms, G::apart},
    JobStateRow<S>{S::prepare, Phase::prepare, &Deadlines::prepare_ms, G::apart},
    JobStateRow<S>{S::copy, Phase::precopy, &Deadlines::precopy_ms, G::apart},
    JobStateRow<S>{S::drain, Phase::drain, &Deadlines::drain_ms, G::closing},
    JobStateRow<S>{S::freeze, Phase::silence, &Deadlines::freeze_ms, G::shut},
    JobStateRow<S>{S::capture, Phase::capture, &Deadlines::capture_ms, G::shut},
    JobStateRow<S>{S::release, Phase::release, &Deadlines::release_ms, G::opening},
    JobStateRow<S>{S::images, Phase::commit, &Deadlines::commit_ms, G::opened},
    JobStateRow<S>{S::manifest, Phase::commit, &Deadlines::commit_ms, G::opened},
    JobStateRow<S>{S::undo, Phase::aborted, &Deadlines::release_ms, G::undone},
    JobStateRow<S>{S::erase, Phase::aborted, &Deadlines::release_ms, G::apart},
    JobStateRow<S>{S::discard, Phase::aborted, &Deadlines::release_ms, G::apart},
    JobStateRow<S>{S::done, Phase::done, nullptr, G::apart},
    JobStateRow<S>{S::aborted, Phase::aborted, nullptr, G::apart},
};

constexpr std::array kTransitions = {
    Row{S::request, E::admitted, S::prepare},
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

    Row{S::drain, E::all_silent, S::freeze},
    Row{S::drain, E::failed, S::undo},
    Row{S::drain, E::timeout, S::undo},
    Row{S::drain, E::bridge_lost, S::undo},
    Row{S::drain, E::master_lost, S::undo},
    Row{S::drain, E::image_failed, S::undo},
    Row{S::drain, E::cancel, S::undo},

    // From here to the release a master stands still with its guest: that its connection breaks
    // says nothing. It comes back and is told how the line went.
    Row{S::freeze, E::all_frozen, S::capture},
    Row{S::freeze, E::failed, S::undo},
    Row{S::freeze, E::timeout, S::undo},
    Row{S::freeze, E::bridge_lost, S::undo},
    Row{S::freeze, E::image_failed, S::undo},
    Row{S::freeze, E::cancel, S::undo},

    Row{S::capture, E::all_captured, S::release},
    Row{S::capture, E::failed, S::undo},
    Row{S::capture, E::timeout, S::undo},
    Row{S::capture, E::bridge_lost, S::undo},
    Row{S::capture, E::image_failed, S::undo},
    Row{S::capture, E::cancel, S::undo},

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

    Row{S::erase, E::all_undone, S::discard},
    Row{S::erase, E::timeout, S::discard},

    Row{S::discard, E::all_undone, S::aborted},
    Row{S::discard, E::timeout, S::aborted},
};

constexpr std::array kTurnBack = {E::failed,      E::timeout,      E::bridge_lost,
                                  E::master_lost, E::image_failed, E::cancel};

}  // namespace

const LineTable& line_table() {
    static constexpr LineTable table{kStates, kTransitions, kTurnBack};
    return table;
}

}  // namespace grl::coordinator
