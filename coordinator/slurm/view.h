// What Slurm says about a job, as far as GRL must know: whose it is, whether it runs, on which
// nodes, and whether it has them to itself.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "grl/base/result.h"
#include "grl/messages/manifest.h"

namespace grl::coordinator {

struct JobFacts {
    std::uint32_t job = 0;
    std::uint32_t uid = 0;
    bool running = false;
    std::string state;               // Slurm's word: "RUNNING"
    std::vector<std::string> nodes;  // its allocation, in Slurm's order
    std::string sharing;             // what is wrong, for its user; empty: the nodes are its own
    bool over = false;               // has ended, however
    std::uint32_t slurmd_timeout_s =
        0;  // after so long without a word a node is given up; 0: never
    JobLife life = {};
};

// A job as the rule about sharing sees it.
struct JobRow {
    std::uint32_t job = 0;
    std::uint32_t uid = 0;
    bool running = false;
    bool exclusive = false;
    std::string state;
    std::vector<std::string> nodes;
    bool over = false;
    JobLife life = {};
};

// The rule: nobody else on its nodes now, and nobody may come.
std::string sharing_of(const JobRow& job, const std::vector<JobRow>& all);

struct NodeFacts {
    std::string name;
    bool drained = false;  // or draining
    std::string reason;
    std::string comment;
    std::int64_t reason_at = 0;  // seconds of the epoch
};

// What is told to Slurm about a node; what is not given stays.
struct NodeChange {
    std::string node;
    bool resume = false;
    std::optional<std::string> comment, reason;
};

class SlurmView {
  public:
    using Then = std::function<void(Result<JobFacts>)>;
    virtual ~SlurmView() = default;
    // `then` is called once, later, on the io_context's thread: with the facts, not_found,
    // unreachable (also after `limit`).
    virtual void look(std::uint32_t job, std::chrono::milliseconds limit, Then then) = 0;
    // All nodes, and a change of one; `then` likewise, but without a deadline: one at a time.
    virtual void nodes(std::function<void(Result<std::vector<NodeFacts>>)> then) = 0;
    virtual void change(NodeChange change, std::function<void(Result<void>)> then) = 0;
};

// By libslurm, on a thread of its own. slurm.conf is found as Slurm's commands find it
// (SLURM_CONF); if there is none, libslurm ends the process with a message. One of these per
// process.
std::unique_ptr<SlurmView> make_slurm_view(boost::asio::io_context& io);

}  // namespace grl::coordinator
