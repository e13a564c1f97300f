// The master's two moves on the line page: open an attempt and close it. One attempt at a time; the
// order of the stores is what gate and agents rely on. Neither blocks.
#pragma once

#include "grl/futex.h"
#include "grl/line_page.h"

namespace grl {

// Shuts the gates and calls the agents. `attempt` is greater than any before and the same on all of
// the step's nodes; a node that missed some (aborted before they reached it) may jump: its agents
// make their fences up. `line` is what the attempt is for.
inline void open_attempt(LinePage& page, std::uint32_t attempt, std::uint64_t line) {
    page.line.store(line, std::memory_order_relaxed);
    page.shut.store(1, std::memory_order_release);  // before `attempt`: an agent that sees the
    page.attempt.store(attempt, std::memory_order_release);  // attempt may rely on a shut gate
    futex_wake(page.attempt, Reach::node);
}

// Opens the gates and lets all go. May be called at any time after open_attempt, once or more.
inline void close_attempt(LinePage& page, std::uint32_t attempt, Outcome outcome) {
    page.outcome.store(static_cast<std::uint32_t>(outcome), std::memory_order_relaxed);
    page.shut.store(0, std::memory_order_release);  // before `closed`: who wakes finds it open
    page.closed.store(attempt, std::memory_order_release);
    futex_wake(page.closed, Reach::node);
}

}  // namespace grl
