// The master's two moves on the line page: open an attempt and close it. One attempt at a time; the
// order of the stores is what gate and agents rely on. Neither blocks. And what those who wait for
// the close do about a master that died.
#pragma once

#include <cerrno>

#include "grl/page/futex.h"
#include "grl/page/line_page.h"

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
    page.closed_ns.store(monotonic_ns(), std::memory_order_relaxed);
    page.shut.store(0, std::memory_order_release);  // before `closed`: who wakes finds it open
    page.closed.store(attempt, std::memory_order_release);
    futex_wake(page.closed, Reach::node);
}

// For whoever waits while an attempt is open: closes it when the master is dead. Adds up the spans
// of waits that timed out since the last beat and never reads a clock, which may jump at a cut; and
// a wait that a signal ends early is no evidence.
class MasterWatch {
  public:
    static constexpr std::int64_t kSpan_ns = 1'000'000'000;      // the longest wait to use
    static constexpr std::int64_t kPatience_ns = 30 * kSpan_ns;  // the slowest beat is one a second

    explicit MasterWatch(LinePage& page, std::int64_t patience_ns = kPatience_ns)
        : page_(page),
          patience_ns_(patience_ns),
          beat_(page.beat.load(std::memory_order_relaxed)) {}

    void wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, Reach reach,
              std::int64_t nanoseconds = kSpan_ns) {
        errno = 0;
        futex_wait(word, seen, reach, nanoseconds);
        if (errno != ETIMEDOUT) return;
        waited_ns_ += nanoseconds;
        const std::uint32_t now = page_.beat.load(std::memory_order_relaxed);
        if (now != beat_) waited_ns_ = 0;
        beat_ = now;
        if (waited_ns_ < patience_ns_) return;
        waited_ns_ = 0;
        const std::uint32_t attempt = page_.attempt.load(std::memory_order_acquire);
        // Shut without an attempt: it died between the stores of open_attempt.
        const bool open = page_.shut.load(std::memory_order_relaxed) != 0 ||
                          page_.closed.load(std::memory_order_acquire) < attempt;
        if (open) close_attempt(page_, attempt, Outcome::aborted);
    }

  private:
    LinePage& page_;
    const std::int64_t patience_ns_;
    std::uint32_t beat_;
    std::int64_t waited_ns_ = 0;
};

}  // namespace grl
