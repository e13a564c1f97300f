#include "coordinator/restore/table.h"

#include <array>

namespace grl::coordinator {

namespace {

using S = RestoreState;
using E = RestoreEvent;
using Row = Transition<S, E>;
using State = StateRow<S>;

constexpr std::array kStates = {
    State{S::wait, &Deadlines::commit_ms},
    State{S::check, &Deadlines::prepare_ms},
    State{S::look, &Deadlines::prepare_ms},
    State{S::place, &Deadlines::prepare_ms},
    State{S::verify, &Deadlines::restore_ms},
    State{S::fence, &Deadlines::fence_ms},
    State{S::raise, &Deadlines::prepare_ms},
    State{S::destroy, &Deadlines::fence_ms},
    State{S::restore, &Deadlines::restore_ms},
    State{S::resume, &Deadlines::release_ms},
    State{S::rejoin, &Deadlines::rejoin_ms},
    State{S::clean, &Deadlines::fence_ms},
    State{S::done, nullptr},
    State{S::failed, nullptr},
};

constexpr std::array kTransitions = {
    Row{S::wait, E::ok, S::check},
    Row{S::wait, E::failed, S::failed},
    Row{S::wait, E::timeout, S::failed},
    Row{S::check, E::ok, S::look},
    Row{S::check, E::failed, S::failed},
    Row{S::check, E::timeout, S::failed},
    Row{S::look, E::ok, S::place},
    Row{S::look, E::failed, S::failed},
    Row{S::look, E::timeout, S::failed},
    Row{S::place, E::ok, S::verify},
    Row{S::place, E::failed, S::failed},
    Row{S::place, E::timeout, S::failed},
    // The hosts are chosen from here on.
    Row{S::verify, E::ok, S::fence},
    Row{S::verify, E::damaged, S::check},
    Row{S::verify, E::failed, S::failed},
    Row{S::verify, E::timeout, S::failed},
    Row{S::verify, E::host_lost, S::failed},
    Row{S::fence, E::ok, S::raise},
    Row{S::fence, E::failed, S::failed},
    Row{S::fence, E::timeout, S::failed},
    Row{S::fence, E::host_lost, S::failed},
    Row{S::raise, E::ok, S::destroy},
    Row{S::raise, E::failed, S::failed},
    Row{S::raise, E::timeout, S::failed},
    Row{S::raise, E::host_lost, S::failed},
    Row{S::destroy, E::ok, S::restore},
    Row{S::destroy, E::failed, S::failed},
    Row{S::destroy, E::timeout, S::failed},
    Row{S::destroy, E::host_lost, S::failed},
    // Nothing of the job runs from here on. A host that is lost now takes its guests with it.
    Row{S::restore, E::ok, S::resume},
    Row{S::restore, E::failed, S::clean},
    Row{S::restore, E::timeout, S::clean},
    Row{S::restore, E::host_lost, S::clean},
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

constexpr std::array kTurnBack = {E::failed, E::timeout, E::host_lost};

}  // namespace

const RestoreTable& restore_table() {
    static constexpr RestoreTable table{kStates, kTransitions, kTurnBack};
    return table;
}

}  // namespace grl::coordinator
