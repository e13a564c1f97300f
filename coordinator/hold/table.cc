#include "coordinator/hold/table.h"

#include <array>

namespace grl::coordinator {

namespace {

using S = HoldState;
using E = HoldEvent;
using G = Gates;
using Row = Transition<S, E>;

constexpr std::array kStates = {
    JobStateRow<S>{S::request, Phase::request, &Deadlines::prepare_ms, G::apart},
    JobStateRow<S>{S::prepare, Phase::prepare, &Deadlines::prepare_ms, G::apart},
    JobStateRow<S>{S::drain, Phase::drain, &Deadlines::drain_ms, G::closing},
    JobStateRow<S>{S::freeze, Phase::silence, &Deadlines::freeze_ms, G::shut},
    JobStateRow<S>{S::capture, Phase::capture, &Deadlines::capture_ms, G::shut},
    JobStateRow<S>{S::hold_images, Phase::commit, &Deadlines::commit_ms, G::shut},
    JobStateRow<S>{S::hold_manifest, Phase::commit, &Deadlines::commit_ms, G::shut},
    JobStateRow<S>{S::hold, Phase::hold, nullptr, G::shut},
    JobStateRow<S>{S::release, Phase::release, &Deadlines::release_ms, G::opening},
    JobStateRow<S>{S::undo, Phase::aborted, &Deadlines::release_ms, G::undone},
    JobStateRow<S>{S::hold_undo, Phase::aborted, &Deadlines::release_ms, G::undone},
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
    Row{S::prepare, E::failed, S::discard},
    Row{S::prepare, E::timeout, S::discard},
    Row{S::prepare, E::bridge_lost, S::discard},
    Row{S::prepare, E::master_lost, S::discard},
    Row{S::prepare, E::image_failed, S::discard},
    Row{S::prepare, E::cancel, S::discard},

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
    Row{S::freeze, E::all_held, S::hold},
    Row{S::freeze, E::failed, S::undo},
    Row{S::freeze, E::timeout, S::undo},
    Row{S::freeze, E::bridge_lost, S::undo},
    Row{S::freeze, E::image_failed, S::undo},
    Row{S::freeze, E::cancel, S::undo},

    Row{S::capture, E::all_captured, S::hold_images},
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

    // No cancel: the line is all but there, and half a commit is the worst place to stop.
    Row{S::hold_manifest, E::manifest_written, S::hold},
    Row{S::hold_manifest, E::failed, S::hold_undo},
    Row{S::hold_manifest, E::timeout, S::hold_undo},

    Row{S::hold, E::let_go, S::release},
    Row{S::hold, E::parted, S::done},
    Row{S::hold, E::failed, S::undo},
    Row{S::hold, E::bridge_lost, S::undo},
    Row{S::hold, E::image_failed, S::undo},
    Row{S::hold, E::cancel, S::undo},

    Row{S::release, E::all_released, S::done},
    Row{S::release, E::failed, S::undo},
    Row{S::release, E::timeout, S::undo},
    Row{S::release, E::bridge_lost, S::undo},
    Row{S::release, E::cancel, S::undo},

    Row{S::undo, E::all_undone, S::aborted},
    Row{S::undo, E::timeout, S::aborted},

    Row{S::hold_undo, E::all_undone, S::erase},
    Row{S::hold_undo, E::timeout, S::erase},

    Row{S::erase, E::all_undone, S::discard},
    Row{S::erase, E::timeout, S::discard},

    Row{S::discard, E::all_undone, S::aborted},
    Row{S::discard, E::timeout, S::aborted},
};

constexpr std::array kTurnBack = {E::failed,       E::timeout, E::bridge_lost, E::master_lost,
                                  E::image_failed, E::cancel,  E::parted};

}  // namespace

const HoldTable& hold_table() {
    static constexpr HoldTable table{kStates, kTransitions, kTurnBack};
    return table;
}

}  // namespace grl::coordinator
