// The gate: what an application's call passes on its way to the communication library.
//
// An interposer owns one Gate per process and brackets each call with a GatePass. While the gate is
// open that costs a few plain loads and stores on lines no other core writes. While it is shut, the
// functions behind `slow_enter` and `slow_exit` (the agent library's) finish what is outstanding
// and park the thread until the attempt is closed.
//
// Threads: one application thread passes the gate; the agent's thread reads `slot` and writes
// `sealed` and `fenced`. The agent issues membarrier() between its store and its load, so the fast
// path needs no fence instruction, only the compiler held to its order.
//
// No C++ runtime: this header is compiled into C and Fortran programs. Without an agent the gate
// points at its own open word and spare slot and lets everything through.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "grl/line_page.h"

namespace grl {

inline constexpr std::uint32_t kGateVersion = 1;

// What the agent library needs from the interposer. The application's thread calls them.
struct GateOps {
    void (*finish)(void* context);    // completes all outstanding operations; blocks on peers
    void (*progress)(void* context);  // polls the transport once; does not block
    void* context;
};

struct Gate {
    constexpr Gate() : shut(&open), slot(&spare) {}
    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    std::uint32_t version = kGateVersion;
    const std::atomic<std::uint32_t>* shut;  // the page's word, or `open`
    RankSlot* slot;                          // the page's slot, or `spare`

    // Set by the agent library; null without it.
    LinePage* page = nullptr;
    void* agent = nullptr;
    void (*slow_enter)(Gate*, CallClass) = nullptr;
    void (*slow_exit)(Gate*) = nullptr;
    // Ends the agent and opens the gate for good. `agreed`: all ranks of the step leave, and the
    // call returns when all have; otherwise this rank withdraws by itself. Blocks.
    void (*leave)(Gate*, bool agreed) = nullptr;

    GateOps ops{};  // set by the interposer before it joins

    // Written by the application's thread.
    alignas(64) std::atomic<std::uint32_t> held{0};  // mutexes it holds
    std::atomic<std::uint32_t> crossings{0};         // the agent waits here while the gate is shut

    // Written by the agent's thread.
    alignas(64) std::atomic<std::uint32_t> sealed{0};  // attempt in which nobody passes any more
    std::atomic<std::uint32_t> fenced{0};  // last attempt whose fence has returned; parked threads
                                           // pump until then
    alignas(64) std::atomic<std::uint32_t> open{0};
    RankSlot spare{};
};

// One writer each, so a load and a store will do; another process may read.
inline void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}
inline void add(std::atomic<std::uint32_t>& counter, std::uint32_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
}

inline void set_call(RankSlot& slot, CallClass call) {
    slot.call.store(static_cast<std::uint32_t>(call), std::memory_order_release);
}

// Enters the gate when made, leaves it at the end of the scope. A call made inside another is that
// other's business: it neither stops nor counts.
class GatePass {
  public:
    [[gnu::always_inline]] GatePass(Gate& gate, CallClass call) : gate_(gate) {
        RankSlot& slot = *gate.slot;
        outermost_ = slot.call.load(std::memory_order_relaxed) == 0;
        if (!outermost_) return;
        // Counted before the class is stored: whoever sees the class sees the operation.
        if (call == CallClass::one_sided) add(slot.issued, 1);
        set_call(slot, call);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (gate.shut->load(std::memory_order_relaxed) != 0) [[unlikely]]
            gate.slow_enter(&gate, call);
    }

    [[gnu::always_inline]] ~GatePass() {
        if (!outermost_) return;
        set_call(*gate_.slot, CallClass::none);
        std::atomic_signal_fence(std::memory_order_seq_cst);
        if (gate_.shut->load(std::memory_order_relaxed) != 0) [[unlikely]]
            gate_.slow_exit(&gate_);
    }

    GatePass(const GatePass&) = delete;
    GatePass& operator=(const GatePass&) = delete;

    bool outermost() const { return outermost_; }

    // Operations of this rank known complete at their targets.
    void complete(std::uint64_t n) const {
        if (outermost_) add(gate_.slot->completed, n);
    }

  private:
    Gate& gate_;
    bool outermost_;
};

// Operations begun and not known complete. For the application's thread.
inline std::uint64_t outstanding(const RankSlot& slot) {
    return slot.issued.load(std::memory_order_relaxed) -
           slot.completed.load(std::memory_order_relaxed);
}

// The agent library's one entry, for dlsym. Joins this process to its step's line page and starts
// the agent's thread. `ranks`: how many take part in the communication; it must be all of the step.
// Returns 0, or -1 with one line in `why`; then the gate stays open and nothing was begun.
inline constexpr const char* kJoinSymbol = "grl_agent_join";
using JoinFunction = int(Gate* gate, std::uint32_t ranks, char* why, std::size_t why_bytes);

}  // namespace grl
