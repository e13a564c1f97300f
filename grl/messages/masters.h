// Master and coordinator: the step's state, the drain with its proof of silence, the release.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>

namespace grl {

// master → coordinator: on connecting, and again whenever something in it changes.
struct StepState {
    static constexpr const char* kType = "step_state";
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::string node;
    std::uint32_t nodes = 0;        // of the step
    std::uint32_t local_ranks = 0;  // of the step on this node
    std::uint32_t ranks = 0;        // of the step
    std::uint32_t uid = 0;          // the job's user
    std::uint32_t every_s = 0;      // seconds between lines; 0: on demand only
    std::uint32_t joined = 0;       // ranks of this node whose agents run
    std::uint32_t leaving = 0;      // ranks of this node that finalise or have finalised
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;  // the last the master knows
    std::uint32_t line = 0;     // the line of that attempt
    bool closed = true;         // that attempt is over
    bool forked = false;        // tasks of this node wait for the other nodes'
};
BOOST_DESCRIBE_STRUCT(StepState, (),
                      (job, step, node, nodes, local_ranks, ranks, uid, every_s, joined, leaving,
                       generation, attempt, line, closed, forked))

// coordinator → master: all nodes of the step have forked their tasks, which may go on.
struct Start {
    static constexpr const char* kType = "start";
};
BOOST_DESCRIBE_STRUCT(Start, (), ())

struct Drain {  // coordinator → master; replies Silent when this node is silent, or an error
    static constexpr const char* kType = "drain";
    std::uint32_t line = 0;
    std::uint32_t attempt = 0;      // counts from 1 in each step, on all its nodes alike
    std::uint32_t limit_ms = 0;     // past it the master aborts by itself
    std::uint32_t failsafe_ms = 0;  // silent for so long without a word: the master opens the gates
};
BOOST_DESCRIBE_STRUCT(Drain, (), (line, attempt, limit_ms, failsafe_ms))

struct Proof {
    std::uint32_t ranks = 0;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;
};
BOOST_DESCRIBE_STRUCT(Proof, (), (ranks, issued, completed, deferred))

struct Silent {
    static constexpr const char* kType = "silent";
    std::uint32_t attempt = 0;
    Proof proof;  // all ranks of the step were quiet; the counters are of this node's ranks
    std::int64_t shut_at_ns = 0;
    std::int64_t silent_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(Silent, (), (attempt, proof, shut_at_ns, silent_at_ns))

struct Release {  // coordinator → master: open the gates; Done
    static constexpr const char* kType = "release";
    std::uint32_t line = 0;
    std::uint32_t attempt = 0;
    std::uint32_t generation = 0;
    bool aborted = false;
    std::int64_t now_ns = 0;  // the coordinator's clock: a guest that is behind is stepped
};
BOOST_DESCRIBE_STRUCT(Release, (), (line, attempt, generation, aborted, now_ns))

}  // namespace grl
