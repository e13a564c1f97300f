// The gate: what an application's call passes on its way to the communication library.
//
// An interposer owns one Gate per process and brackets each call with a GatePass. While the gate is
// open that costs a few plain loads and stores on lines no other core writes. While it is shut, the
// functions behind `slow_enter` and `slow_exit` (the agent library's) finish what is outstanding
// and park the thread until the attempt is closed.
//
// Several interposers may meet in a process (ARMCI's above MPI's). The first to join is the lead:
// the agent knows its words only, the others follow it and share its slot. So a call that passes
// one gate passes the others as nested.
//
// A call inside another one: what it begins and who stops it is the agent library's to say (`nest`,
// park.cc). It may be the library's own, a callback's (reduction, error handler, attribute), a signal
// handler's; or it is inside nothing, because an exception or a longjmp has left the call that the
// slot still shows. No pass is told of that: its destructor has not run and never will. So a pass
// notes where it stands on the stack, and a later one that finds a call under way can look whether
// that one still stands there.
//
// Threads: one application thread at a time passes the gate; the agent's thread reads `slot` and
// writes `sealed` and `fenced`. The agent issues membarrier() between its store and its load, so
// the fast path needs no fence instruction, only the compiler held to its order. Where many threads
// may call at once (`threaded`), the agent library's functions count them with atomic additions.
//
// No C++ runtime: this header is compiled into C and Fortran programs. Without an agent the gate
// points at its own open word and spare slot and lets everything through.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "grl/page/futex.h"
#include "grl/page/line_page.h"

namespace grl {

inline constexpr std::uint32_t kGateVersion = 3;

// What the agent library needs from the interposer. The application's thread calls them.
struct GateOps {
    void (*finish)(void* context);    // completes all outstanding operations; blocks on peers
    void (*progress)(void* context);  // polls the transport once; does not block
    void* context;
    // The outermost call has been left and had begun an operation: it is outstanding. Or null.
    void (*abandoned)(void* context) = nullptr;
};

// Where the function of a pass stands: its frame's address as unwinders know it (CFA) and a place in
// its code, since another function may stand at the same address later.
struct PassFrame {
    std::uintptr_t cfa;
    std::uintptr_t code;
};

[[gnu::always_inline]] inline PassFrame pass_frame() {
    PassFrame frame{reinterpret_cast<std::uintptr_t>(__builtin_dwarf_cfa()), 0};
#if defined(__x86_64__)
    asm volatile("lea 0(%%rip), %0" : "=r"(frame.code));
#elif defined(__aarch64__)
    asm volatile("adr %0, ." : "=r"(frame.code));
#endif
    return frame;
}

// What a pass is to the gate: 0 where it is the outermost of its thread. Else kInside, kCounted if
// its operation counts, and in the low byte what its end has to put back.
using PassRole = std::uint32_t;
inline constexpr PassRole kInside = 0x100;
inline constexpr PassRole kCounted = 0x200;
inline constexpr PassRole kPutBack = 0xff;

// What makes a rank's silence doubtful: then there is none.
enum class Doubt : std::uint32_t {
    none = 0,
    stacks = 1,  // a call was made on one stack while one was under way on another
};

struct Gate {
    constexpr Gate() : shut(&open), slot(&spare), lead(this) {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    std::uint32_t version = kGateVersion;
    const std::atomic<std::uint32_t>* shut;  // the page's word, or `open`
    RankSlot* slot;                          // the page's slot, or `spare`
    bool threaded = false;  // set by the interposer before it joins; the lead's counts for all

    Gate* lead;            // the gate that joined first: its words below are in use
    Gate* next = nullptr;  // gates that follow, from the lead on

    // Set by the agent library; null without it.
    RankTrace* trace = nullptr;  // in debug mode
    LinePage* page = nullptr;
    void* agent = nullptr;
    void (*slow_enter)(Gate*, CallClass) = nullptr;
    void (*slow_exit)(Gate*) = nullptr;
    // For a pass that finds a call under way, and for its end if there is something to put back.
    PassRole (*nest)(Gate*, CallClass, PassFrame) = nullptr;
    void (*unnest)(Gate*, PassRole) = nullptr;
    // In place of the fast path where `threaded`.
    PassRole (*thread_enter)(Gate*, CallClass, PassFrame) = nullptr;
    void (*thread_exit)(Gate*, CallClass, PassRole) = nullptr;
    // Ends the agent and opens the gate for good. `agreed`: all ranks of the step leave, and the
    // call returns when all have; otherwise this rank withdraws by itself. Blocks. A follower's
    // leave only lets go of the lead.
    void (*leave)(Gate*, bool agreed) = nullptr;

    GateOps ops{};  // set by the interposer before it joins

    // Written by the application's threads.
    alignas(64) std::atomic<std::uint32_t> held{0};  // mutexes the process holds
    std::atomic<std::uint32_t> crossings{0};         // the agent waits here while the gate is shut
    std::atomic<std::uint32_t> active{0};  // `threaded`: threads in one-sided or completing calls
    std::atomic<std::uint32_t> doubt{0};   // the lead's: Doubt
    // Of the outermost pass while it is one of this gate (not `threaded`); no frame: 0.
    std::atomic<std::uintptr_t> outer_cfa{0};
    std::atomic<std::uintptr_t> outer_code{0};

    // Written by the agent's thread.
    alignas(64) std::atomic<std::uint32_t> sealed{0};  // attempt in which nobody passes any more
    std::atomic<std::uint32_t> fenced{0};  // last attempt whose fence has returned; parked threads
                                           // pump until then
    alignas(64) std::atomic<std::uint32_t> open{0};
    RankSlot spare{};
};

// One writer each, so a load and a store will do; another process may read.
template <class Word>
void add(std::atomic<Word>& counter, std::type_identity_t<Word> n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

// For counters of a gate, whatever its threads.
template <class Word>
void count(const Gate& gate, std::atomic<Word>& counter, std::type_identity_t<Word> n) {
    if (gate.threaded) [[unlikely]]
        counter.fetch_add(n, std::memory_order_relaxed);
    else
        add(counter, n);
}

inline void set_call(RankSlot& slot, CallClass call) {
    slot.call.store(static_cast<std::uint32_t>(call), std::memory_order_release);
}

inline void set_outer(Gate& gate, const PassFrame& frame) {
    gate.outer_cfa.store(frame.cfa, std::memory_order_relaxed);
    gate.outer_code.store(frame.code, std::memory_order_relaxed);
}

// Enters the gate when made, leaves it at the end of the scope.
class GatePass {
  public:
    [[gnu::always_inline]] GatePass(Gate& gate, CallClass call) : gate_(gate), call_(call) {
        if (gate.threaded) [[unlikely]] {
            role_ = gate.thread_enter(&gate, call, pass_frame());
            return;
        }
        RankSlot& slot = *gate.slot;
        if (slot.call.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            role_ = gate.nest == nullptr ? kInside : gate.nest(&gate, call, pass_frame());
            return;
        }
        role_ = 0;
        // Counted before the class is stored: whoever sees the class sees the operation.
        if (call == CallClass::one_sided) add(slot.issued, 1);
        set_outer(gate, pass_frame());
        set_call(slot, call);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (gate.shut->load(std::memory_order_relaxed) != 0) [[unlikely]]
            gate.slow_enter(&gate, call);
    }

    [[gnu::always_inline]] ~GatePass() {
        if (gate_.threaded) [[unlikely]] {
            gate_.thread_exit(&gate_, call_, role_);
            return;
        }
        if (role_ != 0) [[unlikely]] {
            if ((role_ & kPutBack) != 0) gate_.unnest(&gate_, role_);
            return;
        }
        gate_.outer_cfa.store(0, std::memory_order_relaxed);
        set_call(*gate_.slot, CallClass::none);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (gate_.shut->load(std::memory_order_relaxed) != 0) [[unlikely]]
            gate_.slow_exit(&gate_);
    }

    GatePass(const GatePass&) = delete;
    GatePass& operator=(const GatePass&) = delete;

    bool outermost() const { return role_ == 0; }
    // Has its operation been counted as issued?
    bool counts() const { return role_ == 0 || (role_ & kCounted) != 0; }

    // Operations of this rank known complete at their targets.
    void complete(std::uint64_t n) const {
        if (counts()) count(gate_, gate_.slot->completed, n);
    }

  private:
    Gate& gate_;
    const CallClass call_;
    PassRole role_;
};

// Operations begun and not known complete. For the application's thread.
inline std::uint64_t outstanding(const RankSlot& slot) {
    return slot.issued.load(std::memory_order_relaxed) -
           slot.completed.load(std::memory_order_relaxed);
}

// Debug mode: this thread has begun `call` at `target`.
[[gnu::cold, gnu::noinline]] inline void note_begun(const Gate& gate, const char* call,
                                                    int target) {
    RankTrace& trace = *gate.trace;
    if (outstanding(*gate.slot) <= 1)
        trace.since_ns.store(monotonic_ns(), std::memory_order_relaxed);
    trace.target.store(target, std::memory_order_relaxed);
    std::size_t i = 0;
    for (; call[i] != '\0' && i + 1 < sizeof trace.call; ++i) trace.call[i] = call[i];
    trace.call[i] = '\0';
}

// A pass of a call that begins a one-sided operation.
class OperationPass : public GatePass {
  public:
    [[gnu::always_inline]] OperationPass(Gate& gate, const char* call, int target)
        : GatePass(gate, CallClass::one_sided) {
        if (gate.trace != nullptr && counts()) [[unlikely]]
            note_begun(gate, call, target);
    }
};

// The agent library's entries, for dlsym.
//
// Announce: for who comes before the communication library is up. Tells the other ranks that this
// one has the library, with the data that all exchange while it comes up. 0, or -1 with one line in
// `why`: then there is nothing to join.
inline constexpr const char* kAnnounceSymbol = "grl_agent_announce";
using AnnounceFunction = int(char* why, std::size_t why_bytes);

// Retract: the communication library has not come up after an announcement. Gives back what that
// took, if nobody has joined.
inline constexpr const char* kRetractSymbol = "grl_agent_retract";
using RetractFunction = void();

// Join: joins this process to its step's line page and starts the agent's thread; where that has
// been done for another gate, this one follows that. `ranks`: how many take part in the
// communication; it must be all of the step. Not `joined`: one line in `why`, the gate stays open
// and nothing was begun.
enum class Joined : int {
    joined = 0,
    not_here = -1,  // the other ranks may have joined: they must hear of it
    nowhere = 1,    // all ranks know that none of them joins
};
inline constexpr const char* kJoinSymbol = "grl_agent_join";
using JoinFunction = Joined(Gate* gate, std::uint32_t ranks, char* why, std::size_t why_bytes);

}  // namespace grl
