// A state machine as two tables: what each state is, and (from, event) → to. What is not listed
// changes nothing. Pure: no I/O, no clock.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "coordinator/config.h"
#include "grl/base/json.h"

namespace grl::coordinator {

// What a table may say of a state at least; tables with more to say have rows of their own.
template <class State>
struct StateRow {
    State state;
    std::uint32_t Deadlines::*limit;  // how long it may last; null: it ends at once, or by itself
};

template <class State, class Event>
struct Transition {
    State from;
    Event event;
    State to;
};

template <class State, class Event, class Row = StateRow<State>>
struct StateTable {
    std::span<const Row> states;  // the first is where it begins
    std::span<const Transition<State, Event>> transitions;
    std::span<const Event> turn_back;  // these lead off the straight way, for a reason

    const Row& row(State state) const { return *std::ranges::find(states, state, &Row::state); }
    std::optional<State> next(State from, Event event) const {
        for (const auto& t : transitions) {
            if (t.from == from && t.event == event) return t.to;
        }
        return std::nullopt;
    }
    // Nothing leads on from there.
    bool is_end(State state) const {
        return std::ranges::find(transitions, state, &Transition<State, Event>::from) ==
               transitions.end();
    }
};

// Walks a table and keeps the first reason that turned it back.
template <class State, class Event, class Row = StateRow<State>>
class StateMachine {
  public:
    explicit StateMachine(const StateTable<State, Event, Row>& table)
        : table_(table), state_(table.states.front().state) {}

    // True when a new state was entered. `reason` is kept if the event turns it back.
    bool take(Event event, const std::string& reason = {}) {
        const auto to = table_.next(state_, event);
        if (!to) return false;
        if (!turned_back_in_ &&
            std::ranges::find(table_.turn_back, event) != table_.turn_back.end()) {
            turned_back_in_ = state_;
            reason_ = reason.empty() ? name_of(event) : reason;
        }
        state_ = *to;
        return true;
    }

    bool takes(Event event) const { return table_.next(state_, event).has_value(); }
    State state() const { return state_; }
    const Row& row() const { return table_.row(state_); }
    bool over() const { return table_.is_end(state_); }
    const std::string& reason() const { return reason_; }
    std::optional<State> turned_back_in() const { return turned_back_in_; }

  private:
    StateTable<State, Event, Row> table_;
    State state_;
    std::optional<State> turned_back_in_;
    std::string reason_;
};

}  // namespace grl::coordinator
