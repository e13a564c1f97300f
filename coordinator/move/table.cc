#include "coordinator/move/table.h"

#include <array>

namespace grl::coordinator {

namespace {

using S = MoveState;
using E = MoveEvent;
using G = Gates;
using Row = Transition<S, E>;

constexpr std::array kStates = {
    JobStateRow<S>{S::request, Phase::request, &Deadlines::prepare_ms, G::apart},
    JobStateRow<S>{S::precopy, Phase::precopy, &Deadlines::precopy_ms, G::apart},
    JobStateRow<S>{S::drain, Phase::drain, &Deadlines::drain_ms, G::closing},
    JobStateRow<S>{S::switchover, Phase::switchover, &Deadlines::switch_ms, G::still},
    JobStateRow<S>{S::note, Phase::switchover, &Deadlines::prepare_ms, G::still},
    JobStateRow<S>{S::give, Phase::switchover, &Deadlines::release_ms, G::still},
    JobStateRow<S>{S::wake, Phase::release, &Deadlines::release_ms, G::opening},
    JobStateRow<S>{S::go_on, Phase::release, &Deadlines::release_ms, G::opening},
    JobStateRow<S>{S::clear, Phase::commit, &Deadlines::fence_ms, G::opened},
    JobStateRow<S>{S::strand, Phase::aborted, &Deadlines::release_ms, G::undone},
    JobStateRow<S>{S::undo, Phase::aborted, &Deadlines::release_ms, G::undone},
    JobStateRow<S>{S::discard, Phase::aborted, &Deadlines::release_ms, G::apart},
    JobStateRow<S>{S::done, Phase::done, nullptr, G::apart},
    JobStateRow<S>{S::aborted, Phase::aborted, nullptr, G::apart},
};

constexpr std::array kTransitions = {
    Row{S::request, E::admitted, S::precopy},
    Row{S::request, E::failed, S::aborted},
    Row{S::request, E::timeout, S::aborted},
    Row{S::request, E::cancel, S::aborted},

    // That a master goes is the end of its job, and none of the guest's move.
    Row{S::precopy, E::all_copied, S::drain},
    Row{S::precopy, E::went_ahead, S::switchover},
    Row{S::precopy, E::failed, S::discard},
    Row{S::precopy, E::timeout, S::discard},
    Row{S::precopy, E::bridge_lost, S::discard},
    Row{S::precopy, E::guest_died, S::discard},
    Row{S::precopy, E::cancel, S::discard},

    Row{S::drain, E::all_silent, S::switchover},
    Row{S::drain, E::went_ahead, S::switchover},
    Row{S::drain, E::failed, S::undo},
    Row{S::drain, E::timeout, S::undo},
    Row{S::drain, E::bridge_lost, S::undo},
    Row{S::drain, E::master_lost, S::undo},
    Row{S::drain, E::guest_died, S::undo},
    Row{S::drain, E::cancel, S::undo},

    Row{S::switchover, E::all_arrived, S::note},
    Row{S::switchover, E::failed, S::undo},
    Row{S::switchover, E::timeout, S::undo},
    Row{S::switchover, E::bridge_lost, S::undo},
    Row{S::switchover, E::guest_died, S::undo},
    Row{S::switchover, E::cancel, S::undo},

    Row{S::note, E::noted, S::give},
    Row{S::note, E::failed, S::undo},
    Row{S::note, E::timeout, S::undo},
    Row{S::note, E::bridge_lost, S::undo},
    Row{S::note, E::guest_died, S::undo},
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
    Row{S::wake, E::guest_died, S::go_on},
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

    Row{S::undo, E::all_undone, S::aborted},
    Row{S::undo, E::timeout, S::aborted},

    Row{S::discard, E::all_undone, S::aborted},
    Row{S::discard, E::timeout, S::aborted},
};

constexpr std::array kTurnBack = {E::failed,      E::timeout,    E::bridge_lost,
                                  E::master_lost, E::guest_died, E::cancel};

}  // namespace

const MoveTable& move_table() {
    static constexpr MoveTable table{kStates, kTransitions, kTurnBack};
    return table;
}

}  // namespace grl::coordinator
