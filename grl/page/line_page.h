// The line page: one page of shared memory per node and step, by which grl-master and the ranks of
// that node speak. grl-master creates it (root), gives it to the job's user (0600) and unlinks it;
// ranks map it by the path in GRL_LINE_PAGE. All words are lock-free atomics used across processes;
// waits are futexes without the private flag.
//
// Trust: a rank can write anything here. grl-master copies each word once, takes sizes from its own
// memory, and uses what it read only for this job's own line.
//
//   master writes                         ranks write
//   shut    != 0: gates are shut          slot[i]: state, counters, pid
//   attempt   agents wait here            events   master waits here
//   closed    parked threads wait here    proof    by the node's leader, after the fence
//
// One *attempt* is one request to fall silent; attempts of a step count from 1 on all its nodes
// alike. Every agent takes part in exactly one PMIx fence per attempt, in order, also in attempts
// that were aborted before it looked: so the fences of all ranks stay matched. grl/page/attempt.h opens
// and closes attempts. The master opens one only while every slot of the step is `running`. It
// bumps `beat` all the time; an agent or a parked thread that has waited 30 s without seeing it
// move takes the master for dead and closes the open attempt as aborted (MasterWatch), since parked
// ranks wait for nothing else. After a rollback the page is as it was at the line, so the next
// attempt is above the `attempt` of that line again, not of the attempts since.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "grl/page/start_words.h"

namespace grl {

inline constexpr std::uint32_t kLinePageMagic = 0x47524c50;  // "GRLP"
inline constexpr std::uint32_t kLinePageVersion = 4;
inline constexpr const char* kLinePageEnv = "GRL_LINE_PAGE";  // path of the page
inline constexpr const char* kDebugEnv = "GRL_DEBUG";  // set and not empty: ranks keep a RankTrace
inline constexpr const char* kAgentLibraryEnv = "GRL_AGENT_LIBRARY";  // path of libgrl_agent.so

// How an attempt ended.
enum class Outcome : std::uint32_t { none = 0, released = 1, aborted = 2 };

// A rank as the master sees it. Written by the rank's agent only.
enum class RankState : std::uint32_t {
    absent = 0,    // has not joined
    running = 1,   // joined; its gate follows `shut`
    draining = 2,  // has seen the attempt; the application's thread is not quiet yet
    fencing = 3,   // quiet, in the fence
    silent = 4,    // the fence has returned and the attempt is not over
    leaving = 5,   // in ARMCI_Finalize: no line can be taken any more
    left = 6,      // has finalised
};

// What the application's thread is doing, for the agent of the same process.
enum class CallClass : std::uint32_t {
    none = 0,        // in the application's own code
    one_sided = 1,   // put, get, accumulate, read-modify-write, blocking or not
    completion = 2,  // fence, wait, test
    waiting = 3,     // a collective, ARMCI_Lock: returns only when peers act
    local = 4,       // touches no peer
    parked = 5,      // at the gate
    threads = 6,     // several threads may be in calls: the gate counts them
};

struct alignas(64) RankSlot {
    std::atomic<std::uint32_t> state;      // RankState
    std::atomic<std::uint32_t> call;       // CallClass, by the application's thread
    std::atomic<std::uint64_t> issued;     // one-sided operations begun
    std::atomic<std::uint64_t> completed;  // of these, known complete at the target
    std::atomic<std::uint64_t> deferred;   // counted quiet though not complete, this attempt
    std::atomic<std::uint32_t> attempt;    // last attempt this rank fell silent in
    std::atomic<std::uint32_t> rank;       // PMIx rank
    std::atomic<std::int32_t> pid;
    std::uint32_t reserved;
    std::atomic<std::uint64_t> quiet_issued;     // `issued` when the rank was quiet, this attempt
    std::atomic<std::uint64_t> quiet_completed;  // likewise
};
static_assert(sizeof(RankSlot) == 64, "one cache line a rank");

// In debug mode: the rank's last one-sided operation, for whoever finds it outstanding. By the
// application's thread; words of different operations may mix.
struct alignas(64) RankTrace {
    std::atomic<std::int64_t> since_ns;  // CLOCK_MONOTONIC of the oldest that may be outstanding
    std::atomic<std::int32_t> target;
    std::uint32_t reserved;
    char call[48];  // zero-terminated; empty: none, or no debug mode
};
static_assert(sizeof(RankTrace) == 64);

// What the node's leader found after the fence. Valid when `attempt` equals the current one; it is
// stored last.
struct alignas(64) ProofWords {
    std::atomic<std::uint32_t> attempt;
    std::atomic<std::uint32_t> proven;  // 1: all ranks of the step were quiet in this attempt when
                                        // they entered the fence, and the sums add up
    std::atomic<std::uint32_t> ranks;   // of the step
    std::atomic<std::uint32_t> bad_rank;  // where proven is 0: the first that does not fit
    std::atomic<std::uint64_t> issued;    // sums over the ranks of this node
    std::atomic<std::uint64_t> completed;
    std::atomic<std::uint64_t> deferred;
    std::atomic<std::int64_t> at_ns;  // CLOCK_MONOTONIC when the leader had found this
    char reason[120];                 // where proven is 0: one line, zero-terminated
};

struct LinePage {
    std::uint32_t magic;  // the creator stores it last
    std::uint32_t version;
    std::uint32_t slots;  // ranks of this node; slot index is SLURM_LOCALID
    std::uint32_t step_ranks;
    std::atomic<std::uint32_t> forked;  // grl/page/start_words.h: by a task, before its program
    std::atomic<std::uint32_t> go;      // by the master

    alignas(64) std::atomic<std::uint32_t> shut;  // the gate's fast path reads only this line
    std::atomic<std::uint32_t> attempt;
    std::atomic<std::uint32_t> closed;   // the last attempt that is over
    std::atomic<std::uint32_t> outcome;  // of that attempt
    std::atomic<std::uint32_t> generation;
    std::atomic<std::uint32_t> beat;      // moves while the master lives
    std::atomic<std::uint64_t> line;      // the line number the attempt is for
    std::atomic<std::int64_t> grace_ns;   // how long a call that waits for a peer may hold silence
                                          // up before its operations count as deferred
    std::atomic<std::int64_t> closed_ns;  // CLOCK_MONOTONIC when the gates were last opened

    // Bumped, with a wake, when the last slot becomes silent or, after an attempt, running; when
    // one begins to run, leaves, has left or becomes absent; and when a proof fails. The leader's
    // becomes silent after the proof is written. Draining and fencing only show.
    alignas(64) std::atomic<std::uint32_t> events;
    ProofWords proof;
    // RankSlot slot[slots] follows at the next cache line, then RankTrace trace[slots]
};

inline RankSlot* slots_of(LinePage* page) {
    return reinterpret_cast<RankSlot*>(reinterpret_cast<char*>(page) + sizeof(LinePage));
}
static_assert(sizeof(LinePage) % 64 == 0);
static_assert(offsetof(LinePage, forked) == std::size_t{4} * GRL_PAGE_FORKED &&
              offsetof(LinePage, go) == std::size_t{4} * GRL_PAGE_GO &&
              offsetof(LinePage, events) == std::size_t{4} * GRL_PAGE_EVENTS);

// `slots`: as the caller knows it; the page's own word is the user's.
inline RankTrace* traces_of(LinePage* page, std::uint32_t slots) {
    return reinterpret_cast<RankTrace*>(slots_of(page) + slots);
}

inline constexpr std::size_t line_page_bytes(std::uint32_t slots) {
    return sizeof(LinePage) + slots * (sizeof(RankSlot) + sizeof(RankTrace));
}

// Why a mapping of `bytes` bytes cannot be used as a line page; nullptr where it can.
inline const char* line_page_fault(const LinePage& page, std::size_t bytes) {
    if (bytes < sizeof(LinePage)) return "is shorter than its header";
    if (page.magic != kLinePageMagic) return "is not a line page or not finished";
    if (page.version != kLinePageVersion) return "has another version";
    if (page.slots == 0 || page.step_ranks < page.slots) return "has impossible numbers of ranks";
    if (bytes < line_page_bytes(page.slots)) return "is shorter than its slots";
    return nullptr;
}

}  // namespace grl
