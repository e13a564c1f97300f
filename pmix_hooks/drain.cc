// Why nobody begins a one-sided operation between `drain`'s return and the attempt's close:
//   thread:  store call; load shut; [shut: load sealed]; pass or park
//   master:  store shut; store attempt            agent:  load attempt; barrier; load call
//                                                 agent:  store sealed; barrier; load call
// The barrier acts as a full fence in the thread at some point. Either the thread's store of `call`
// is before that point, and the agent's load sees an active class and waits for it; or the thread's
// loads are after it, see the gate shut (a holder: sealed), and it parks. The first barrier settles
// this for threads that hold no mutex, the second for those that do. The seal needs no undoing: it
// names the attempt and is void when the master has closed that. Where many threads may call, the
// counter `active` stands for the class; their additions are full fences themselves.
//
// A call that begins an operation inside another shows itself for its time and goes by `sealed`, as
// a holder does. So the second barrier settles it, too, whatever the outer call's class is; also
// where there is no outer call, because it was left without a word (park.h).
#include "pmix_hooks/drain.h"

#include <linux/membarrier.h>

#include <algorithm>

#include "grl/page/attempt.h"

namespace grl {
namespace {

constexpr std::int64_t kLongestWait = 10'000'000;  // ns; how late an abort may be noticed

constexpr std::int64_t kLongestGrace = 3600'000'000'000;  // ns

int g_barrier_command = MEMBARRIER_CMD_GLOBAL;

long membarrier(int command) {
    return syscall(SYS_membarrier, command, 0, 0);
}

void barrier() {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    membarrier(g_barrier_command);
}

CallClass call_of(const Gate& gate) {
    // Threads that are in other calls than these hold nothing up.
    if (gate.threaded)
        return gate.active.load(std::memory_order_seq_cst) != 0 ? CallClass::one_sided
                                                                : CallClass::none;
    return static_cast<CallClass>(gate.slot->call.load(std::memory_order_acquire));
}

bool active(CallClass call) {
    return call == CallClass::one_sided || call == CallClass::completion;
}

// May the gate be sealed on the thread as it stands? A holder that is away may be about to go on to
// its unlock, so it is given the grace; in a call that waits for a peer it may need us to be quiet.
bool settled(const Gate& gate, CallClass call) {
    if (active(call)) return false;
    if (call == CallClass::waiting || call == CallClass::parked) return true;
    return gate.held.load(std::memory_order_acquire) == 0;
}

Quiet tally(const Gate& gate) {
    Quiet quiet;
    quiet.doubt = static_cast<Doubt>(gate.doubt.load(std::memory_order_seq_cst));
    quiet.refused = quiet.doubt != Doubt::none;
    quiet.issued = gate.slot->issued.load(std::memory_order_acquire);
    quiet.completed = std::min(quiet.issued, gate.slot->completed.load(std::memory_order_acquire));
    quiet.deferred = quiet.issued - quiet.completed;
    return quiet;
}

}  // namespace

bool barrier_register() {
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0) {
        g_barrier_command = MEMBARRIER_CMD_PRIVATE_EXPEDITED;
        return true;
    }
    return membarrier(MEMBARRIER_CMD_GLOBAL) == 0;
}

Quiet drain(Gate& gate, std::uint32_t attempt) {
    const std::int64_t grace = std::clamp<std::int64_t>(
        gate.page->grace_ns.load(std::memory_order_relaxed), 0, kLongestGrace);
    std::int64_t deadline = monotonic_ns() + grace;
    std::uint32_t last_seen = gate.crossings.load(std::memory_order_acquire);
    bool sealed = false;
    MasterWatch watch(*gate.page);
    barrier();
    for (;;) {
        if (gate.page->closed.load(std::memory_order_acquire) >= attempt) return {.refused = true, .closed = true};
        const std::uint32_t seen = gate.crossings.load(std::memory_order_acquire);
        const CallClass call = call_of(gate);
        const std::int64_t now = monotonic_ns();
        if (seen != last_seen && !sealed && gate.held.load(std::memory_order_acquire) != 0)
            deadline = now + grace;  // a holder that moves is let through
        last_seen = seen;
        const bool late = now >= deadline;
        if (!sealed && (late || settled(gate, call))) {
            gate.sealed.store(attempt, std::memory_order_release);
            sealed = true;
            barrier();
            continue;  // what the thread does from here on stays so
        }
        if (sealed && (late || !active(call))) return tally(gate);
        watch.wait(gate.crossings, seen, Reach::process, std::min(deadline - now, kLongestWait));
    }
}

}  // namespace grl
