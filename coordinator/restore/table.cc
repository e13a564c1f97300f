#include "coordinator/restore/table.h"

#include <array>

#include "grl/base/json.h"

namespace grl::coordinator {

namespace {

using S = RestoreState;
using E = RestoreEvent;
using Row = Transition<S, E>;

constexpr std::array kStates = {
    RestoreStateRow{S::wait, &Deadlines::commit_ms},
    RestoreStateRow{S::check, &Deadlines::prepare_ms},
    RestoreStateRow{S::fence, &Deadlines::fence_ms},
    RestoreStateRow{S::destroy, &Deadlines::fence_ms},
    RestoreStateRow{S::place, &Deadlines::prepare_ms},
    RestoreStateRow{S::restore, &Deadlines::restore_ms},
    RestoreStateRow{S::raise, &Deadlines::prepare_ms},
    RestoreStateRow{S::resume, &Deadlines::release_ms},
    RestoreStateRow{S::rejoin, &Deadlines::rejoin_ms},
    RestoreStateRow{S::clean, &Deadlines::fence_ms},
    RestoreStateRow{S::done, nullptr},
    RestoreStateRow{S::failed, nullptr},
};

constexpr std::array kTransitions = {
    Row{S::wait, E::ok, S::check},
    Row{S::wait, E::failed, S::failed},
    Row{S::wait, E::timeout, S::failed},
    Row{S::check, E::ok, S::fence},
    Row{S::check, E::failed, S::failed},
    Row{S::check, E::timeout, S::failed},
    Row{S::fence, E::ok, S::destroy},
    Row{S::fence, E::failed, S::failed},
    Row{S::fence, E::timeout, S::failed},
    Row{S::destroy, E::ok, S::place},
    Row{S::destroy, E::failed, S::failed},
    Row{S::destroy, E::timeout, S::failed},
    Row{S::place, E::ok, S::restore},
    Row{S::place, E::failed, S::failed},
    Row{S::place, E::timeout, S::failed},
    // Nothing of the job runs from here on. A host that is lost now takes its guests with it.
    Row{S::restore, E::ok, S::raise},
    Row{S::restore, E::failed, S::clean},
    Row{S::restore, E::timeout, S::clean},
    Row{S::restore, E::host_lost, S::clean},
    Row{S::raise, E::ok, S::resume},
    Row{S::raise, E::failed, S::clean},
    Row{S::raise, E::timeout, S::clean},
    Row{S::raise, E::host_lost, S::clean},
    Row{S::resume, E::ok, S::rejoin},
    Row{S::resume, E::failed, S::clean},
    Row{S::resume, E::timeout, S::clean},
    Row{S::resume, E::host_lost, S::clean},
    Row{S::rejoin, E::ok, S::done},
    Row{S::rejoin, E::failed, S::failed},
    Row{S::rejoin, E::timeout, S::failed},
    Row{S::rejoin, E::host_lost, S::failed},
    Row{S::clean, E::ok, S::failed},
    Row{S::clean, E::failed, S::failed},
    Row{S::clean, E::timeout, S::failed},
};

}  // namespace

std::span<const RestoreStateRow> restore_states() {
    return kStates;
}
std::span<const Row> restore_transitions() {
    return kTransitions;
}

const RestoreStateRow& restore_state_row(RestoreState state) {
    for (const RestoreStateRow& row : kStates) {
        if (row.state == state) return row;
    }
    return kStates.back();
}

bool RestoreMachine::take(RestoreEvent event, const std::string& reason) {
    const auto to = next_state(restore_transitions(), state_, event);
    if (!to) return false;
    state_ = *to;
    if (event != E::ok && reason_.empty()) reason_ = reason.empty() ? name_of(event) : reason;
    return true;
}

}  // namespace grl::coordinator
