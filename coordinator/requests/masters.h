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

#include "coordinator/lines/lines.h"
#include "coordinator/restore/restores.h"
#include "grl/messages/masters.h"

namespace grl::coordinator {

class Masters {
  public:
    Masters(Parts parts, Lines& lines, Restores& restores);
    void accept(std::shared_ptr<Channel> channel, const Peer& peer);

  private:
    void state(const std::shared_ptr<Channel>& channel, const std::string& node,
               const json::object& body);
    bool vetted(const std::shared_ptr<Channel>& channel, const std::string& node,
                const StepState& said, const json::object& body);
    void away(const Channel* channel, const std::string& node, const Error& why);
    void release(const std::shared_ptr<Channel>& master, const StepState& state,
                 std::uint32_t generation);
    void reap();
    void end_hold_of_the_cancelled(const Step& step);
    void forget(const Step& step);

    Parts parts_;
    Lines& lines_;
    Restores& restores_;
    struct Vetting {
        std::uint32_t job = 0, step = 0;  // what the channel speaks for; 0: nothing yet
        bool done = false;
        json::object latest;
        std::weak_ptr<Channel> channel;  // the key alone could be an address that is used again
    };
    std::map<const Channel*, Vetting> vetting_;
    std::map<std::string, std::string> refused_;  // node → why, so that it is said once
    asio::steady_timer reap_;
    unsigned rounds_ = 0;
};

}  // namespace grl::coordinator
