// Lets masters in and carries their words to the steps, to the line under way and to a restore.
//
// A master speaks for the node it runs on: root there, named as the node, its credential made at
// the guest's own address. What a master says of a step whose attempt is open while no line is
// under way (the coordinator was restarted, a line was aborted while it was away) is answered with
// an abort.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "coordinator/lines.h"
#include "coordinator/restores.h"

namespace grl::coordinator {

class Masters {
  public:
    Masters(Parts parts, Lines& lines, Restores& restores);
    void accept(std::shared_ptr<Channel> channel, const Peer& peer);

  private:
    void state(const std::shared_ptr<Channel>& channel, const std::string& node,
               const json::object& body);
    void away(const Channel* channel, const std::string& node, const Error& why);
    void release(const std::shared_ptr<Channel>& master, const StepState& state,
                 std::uint32_t generation);
    void reap();
    void forget(const Step& step);

    Parts parts_;
    Lines& lines_;
    Restores& restores_;
    std::map<std::string, std::string> refused_;  // node → why, so that it is said once
    asio::steady_timer reap_;
    unsigned rounds_ = 0;
};

}  // namespace grl::coordinator
