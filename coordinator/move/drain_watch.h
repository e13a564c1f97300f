// Moves by scontrol: what an operator drains is emptied, if it is meant for us.
//
//   a guest's node, drained with the reason "grl", "grl migrate" or "grl migrate h4"
//       it moves, the node is resumed, its comment says host=h4;
//       if it cannot move, it stays drained, with the reason "grl: stays on h2: …"
//   a host that is a node itself, drained for whatever reason
//       all its guests move, its reason ends with "; grl: 2 guests moved", it stays drained;
//       guests may come again when it is resumed
//
// Slurm's triggers cannot tell of this: they wait for the jobs to leave. So its nodes are asked
// for, and come only if something has changed. Runs on the io_context's thread; does not block.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "coordinator/move/moves.h"

namespace grl::coordinator {

class DrainWatch {
  public:
    DrainWatch(Parts parts, Moves& moves);

  private:
    void later();
    void take(const std::vector<NodeFacts>& nodes);
    void move(const NodeFacts& node);
    void evacuate(const NodeFacts& node);
    // Nobody has said anything else of the node since.
    bool still(const NodeFacts& order) const;
    void say(NodeChange change);

    Parts parts_;
    Moves& moves_;
    std::map<std::string, NodeFacts> latest_;
    std::map<std::string, std::pair<std::string, std::int64_t>> seen_;  // drains begun, by node
    std::set<std::string> emptied_;                                     // hosts
    std::string last_error_;
    asio::steady_timer timer_;
    // Slurm answers later than we may live.
    std::shared_ptr<DrainWatch*> self_ = std::make_shared<DrainWatch*>(this);
};

// `comment` with host=HOST in place of what it said of that.
std::string with_host(const std::string& comment, const std::string& host);

}  // namespace grl::coordinator
