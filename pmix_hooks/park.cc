#include "pmix_hooks/park.h"

#include <sched.h>

#include <algorithm>

#include "grl/page/attempt.h"
#include "pmix_hooks/standing.h"

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

// ---- calls inside others ----

// Sealed, a rank has said what it has under way: nothing is begun any more, wherever it is.
bool stands_still(const Gate& gate) {
    return gate.shut->load(std::memory_order_acquire) != 0 && sealed_now(gate);
}

// Without a poll: the communication library may be further up the stack.
void await_close(Gate& gate) {
    MasterWatch watch(*gate.page);
    for (;;) {
        const std::uint32_t closed = gate.page->closed.load(std::memory_order_acquire);
        if (!stands_still(gate)) return;
        watch.wait(gate.page->closed, closed, Reach::node);
    }
}

// The gate of the outermost pass, or null (between two of its stores).
Gate* outer_of(Gate& lead) {
    for (Gate* gate = &lead; gate != nullptr; gate = gate->next)
        if (gate->outer_cfa.load(std::memory_order_relaxed) != 0) return gate;
    return nullptr;
}

PassFrame outer_frame(const Gate& gate) {
    return {gate.outer_cfa.load(std::memory_order_relaxed),
            gate.outer_code.load(std::memory_order_relaxed)};
}

// Has the outermost call been left? To know for certain takes a walk up the stack: it is taken when
// the answer matters, at a shut gate, and when a frame that is not below tells that it may be so.
bool is_left(Gate& lead, const PassFrame& outer, const PassFrame& mine) {
    const bool shut = lead.shut->load(std::memory_order_relaxed) != 0;
    if (!shut && mine.cfa < outer.cfa) return false;
    const Standing standing = standing_of(outer);
    if (standing == Standing::elsewhere)
        lead.doubt.store(static_cast<std::uint32_t>(Doubt::stacks), std::memory_order_seq_cst);
    return standing == Standing::left;
}

void forget_call(Gate& lead, Gate& outer) {
    RankSlot& slot = *lead.slot;
    const bool began = slot.call.load(std::memory_order_relaxed) ==
                       static_cast<std::uint32_t>(CallClass::one_sided);
    if (began && outer.ops.abandoned != nullptr) outer.ops.abandoned(outer.ops.context);
    for (Gate* gate = &lead; gate != nullptr; gate = gate->next)
        gate->outer_cfa.store(0, std::memory_order_relaxed);
    lead.doubt.store(0, std::memory_order_relaxed);
    set_call(slot, CallClass::none);
}

// ---- many threads ----

// The outermost pass of the thread. In one of the agent library's own, so that a thread's calls
// through two gates nest.
struct OuterPass {
    PassFrame frame;
    const Gate* gate;
    CallClass call;
    bool active;  // counted so
};
thread_local OuterPass t_outer{};

bool holds_up(CallClass call) {
    return call == CallClass::one_sided || call == CallClass::completion;
}

void set_active(Gate& gate, bool active) {
    if (t_outer.active == active) return;
    t_outer.active = active;
    gate.active.fetch_add(active ? 1 : std::uint32_t(-1), std::memory_order_seq_cst);
}

void park_thread(Gate& gate) {
    if (outstanding(*gate.slot) != 0) {
        set_active(gate, true);
        if (!sealed_now(gate)) finish(gate);
        set_active(gate, false);
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

PassRole nest(Gate* entered, CallClass call, PassFrame frame) {
    Gate& lead = *entered->lead;
    RankSlot& slot = *lead.slot;
    const bool begins = call == CallClass::one_sided;
    const std::uint32_t outer = slot.call.load(std::memory_order_relaxed);
    // What parking polls with, all the time.
    if (!begins && outer == static_cast<std::uint32_t>(CallClass::parked)) return kInside;
    Gate* const owner = outer_of(lead);
    if (owner != nullptr && is_left(lead, outer_frame(*owner), frame)) {
        forget_call(lead, *owner);
        if (begins) add(slot.issued, 1);
        set_outer(*entered, frame);
        set_call(slot, call);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (lead.shut->load(std::memory_order_relaxed) != 0) slow_enter(entered, call);
        return 0;
    }
    if (!begins) return kInside;
    // What a library makes its operations of is counted as that library's operation.
    const bool one_sided = outer == static_cast<std::uint32_t>(CallClass::one_sided);
    const bool counted = !one_sided || entered == owner;
    if (counted) add(slot.issued, 1);
    set_call(slot, call);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (lead.shut->load(std::memory_order_relaxed) != 0) {
        while (stands_still(lead)) {
            if (counted) add(slot.issued, std::uint64_t(-1));
            set_call(slot, CallClass::parked);
            crossed(lead);
            await_close(lead);
            if (counted) add(slot.issued, 1);
            set_call(slot, call);
            std::atomic_signal_fence(std::memory_order_seq_cst);
        }
        crossed(lead);
    }
    return kInside | (counted ? kCounted : 0) | (one_sided ? 0 : outer);
}

void unnest(Gate* entered, PassRole role) {
    Gate& lead = *entered->lead;
    set_call(*lead.slot, static_cast<CallClass>(role & kPutBack));
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (lead.shut->load(std::memory_order_relaxed) != 0) crossed(lead);
}

namespace {

PassRole nest_thread(Gate& gate, const Gate* entered, CallClass call) {
    if (call != CallClass::one_sided) return kInside;
    const bool counted = t_outer.call != CallClass::one_sided || t_outer.gate == entered;
    for (;;) {
        gate.active.fetch_add(1, std::memory_order_seq_cst);
        if (counted) gate.slot->issued.fetch_add(1, std::memory_order_seq_cst);
        if (!stands_still(gate)) return kInside | (counted ? kCounted : 0) | 1;
        if (counted) gate.slot->issued.fetch_sub(1, std::memory_order_relaxed);
        gate.active.fetch_sub(1, std::memory_order_seq_cst);
        crossed(gate);
        await_close(gate);
    }
}

}  // namespace

PassRole thread_enter(Gate* entered, CallClass call, PassFrame frame) {
    Gate& gate = *entered->lead;
    RankSlot& slot = *gate.slot;
    if (t_outer.frame.cfa != 0) {
        if (!is_left(gate, t_outer.frame, frame)) return nest_thread(gate, entered, call);
        set_active(gate, false);
    }
    t_outer = {frame, entered, call, false};
    const bool counted = call == CallClass::one_sided;
    for (;;) {
        // Active first and last, so that the count is settled when nobody is.
        set_active(gate, holds_up(call));
        if (counted) slot.issued.fetch_add(1, std::memory_order_seq_cst);
        if (may_pass(gate)) return 0;
        if (counted) slot.issued.fetch_sub(1, std::memory_order_relaxed);
        set_active(gate, false);
        park_thread(gate);
    }
}

void thread_exit(Gate* entered, CallClass, PassRole role) {
    Gate& gate = *entered->lead;
    if (role != 0) {
        if ((role & kPutBack) == 0) return;
        gate.active.fetch_sub(1, std::memory_order_seq_cst);
        if (gate.shut->load(std::memory_order_seq_cst) != 0) crossed(gate);
        return;
    }
    set_active(gate, false);
    if (gate.shut->load(std::memory_order_seq_cst) != 0) {
        if (!may_pass(gate)) park_thread(gate);
        crossed(gate);
    }
    t_outer = {};  // last: what parking calls is nested, too
}

}  // namespace grl
