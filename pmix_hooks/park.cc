#include "pmix_hooks/park.h"

#include <sched.h>

#include <algorithm>

#include "grl/page/attempt.h"

namespace grl {
namespace {

// Between two polls of the transport. A peer's last operations mostly need a few quick ones. After
// that: a guest may have a single processor, which those that have yet to fall silent need more; so
// a poll is followed by a nap several times as long.
constexpr int kQuickPolls = 32;
constexpr std::int64_t kShortestNap = 50'000;  // ns
constexpr std::int64_t kLongestNap = 2'000'000;
constexpr std::int64_t kNapsPerPoll = 4;

// A mutex holder is let through until the agent has sealed; others wait for the master. `gate`,
// here and below, is the lead.
bool may_pass(const Gate& gate) {
    if (gate.shut->load(std::memory_order_acquire) == 0) return true;
    return gate.held.load(std::memory_order_relaxed) != 0 && !sealed_now(gate);
}

// Tells the agent that `call` or `held` has changed.
void crossed(Gate& gate) {
    gate.crossings.fetch_add(1, std::memory_order_release);  // a slow path: of any thread
    futex_wake(gate.crossings, Reach::process);
}

// Peers need this rank's progress to finish theirs, until the fence says that they have. From then
// on the master's close is all there is to wait for, and it wakes this thread itself.
void await_release(Gate& gate) {
    LinePage& page = *gate.page;
    MasterWatch watch(page);
    std::int64_t nap = kShortestNap;
    for (int polls = 0;;) {
        const std::uint32_t closed = page.closed.load(std::memory_order_acquire);
        if (may_pass(gate)) return;
        const std::uint32_t fenced = gate.fenced.load(std::memory_order_acquire);
        const std::uint32_t attempt = page.attempt.load(std::memory_order_acquire);
        if (attempt > closed && fenced >= attempt) {
            watch.wait(page.closed, closed, Reach::node);
        } else {
            const std::int64_t began = monotonic_ns();
            if (gate.ops.progress != nullptr) gate.ops.progress(gate.ops.context);
            if (polls++ < kQuickPolls) {
                sched_yield();
                continue;
            }
            nap = std::clamp(kNapsPerPoll * (monotonic_ns() - began), nap, kLongestNap);
            watch.wait(gate.fenced, fenced, Reach::process, nap);
            nap = std::min(2 * nap, kLongestNap);
        }
    }
}

void finish(Gate& lead) {
    for (Gate* gate = &lead; gate != nullptr; gate = gate->next)
        if (gate->ops.finish != nullptr) gate->ops.finish(gate->ops.context);
}

void park(Gate& gate) {
    RankSlot& slot = *gate.slot;
    // Once sealed, what is outstanding has been counted as deferred: no more traffic for it.
    if (outstanding(slot) != 0) {
        // The class before the look, here too: the seal may fall between.
        set_call(slot, CallClass::completion);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (!sealed_now(gate)) finish(gate);
    }
    set_call(slot, CallClass::parked);
    crossed(gate);
    await_release(gate);
}

// ---- many threads ----

// In one of the agent library's own, so that a thread's calls through two gates nest.
thread_local std::uint32_t t_depth = 0;

bool holds_up(CallClass call) {
    return call == CallClass::one_sided || call == CallClass::completion;
}

void park_thread(Gate& gate) {
    if (outstanding(*gate.slot) != 0) {
        gate.active.fetch_add(1, std::memory_order_seq_cst);
        if (!sealed_now(gate)) finish(gate);
        gate.active.fetch_sub(1, std::memory_order_seq_cst);
    }
    crossed(gate);
    await_release(gate);
}

}  // namespace

bool sealed_now(const Gate& gate) {
    return gate.sealed.load(std::memory_order_acquire) >
           gate.page->closed.load(std::memory_order_acquire);
}

void slow_enter(Gate* entered, CallClass call) {
    Gate* const gate = entered->lead;
    RankSlot& slot = *gate->slot;
    // The class is stored before each look, as on the fast path (see drain.cc).
    while (!may_pass(*gate)) {
        const bool counted = call == CallClass::one_sided;
        if (counted) add(slot.issued, std::uint64_t(-1));  // not begun after all
        park(*gate);
        if (counted) add(slot.issued, 1);
        set_call(slot, call);
        std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    crossed(*gate);
}

void slow_exit(Gate* entered) {
    Gate* const gate = entered->lead;
    if (!may_pass(*gate)) {
        park(*gate);
        set_call(*gate->slot, CallClass::none);
    }
    crossed(*gate);
}

bool thread_enter(Gate* entered, CallClass call) {
    if (t_depth++ != 0) return false;
    Gate& gate = *entered->lead;
    RankSlot& slot = *gate.slot;
    const bool counted = call == CallClass::one_sided;
    for (;;) {
        // Active first and last, so that the count is settled when nobody is.
        if (holds_up(call)) gate.active.fetch_add(1, std::memory_order_seq_cst);
        if (counted) slot.issued.fetch_add(1, std::memory_order_seq_cst);
        if (may_pass(gate)) return true;
        if (counted) slot.issued.fetch_sub(1, std::memory_order_relaxed);
        if (holds_up(call)) gate.active.fetch_sub(1, std::memory_order_seq_cst);
        park_thread(gate);
    }
}

void thread_exit(Gate* entered, CallClass call, bool outermost) {
    Gate& gate = *entered->lead;
    if (outermost) {
        if (holds_up(call)) gate.active.fetch_sub(1, std::memory_order_seq_cst);
        if (gate.shut->load(std::memory_order_seq_cst) != 0) {
            if (!may_pass(gate)) park_thread(gate);
            crossed(gate);
        }
    }
    --t_depth;  // last: what parking calls is nested, too
}

}  // namespace grl
