// A state machine's table: (from, event) → to. What is not listed changes nothing. Pure.
#pragma once

#include <optional>
#include <span>

namespace grl::coordinator {

template <class State, class Event>
struct Transition {
    State from;
    Event event;
    State to;
};

template <class State, class Event>
std::optional<State> next_state(std::span<const Transition<State, Event>> table, State from,
                                Event event) {
    for (const auto& row : table) {
        if (row.from == from && row.event == event) return row.to;
    }
    return std::nullopt;
}

}  // namespace grl::coordinator
