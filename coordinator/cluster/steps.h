// The protected job steps as their masters tell them. No I/O but for closing channels that are
// superseded; one thread; owns the masters' channels.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster/hosts.h"
#include "coordinator/engine/clock.h"
#include "grl/messages/masters.h"
#include "grl/wire/channel.h"

namespace grl::coordinator {

struct Member {                        // the master of one node
    std::shared_ptr<Channel> channel;  // null: away
    StepState state;
    bool started = false;  // its tasks were told to go on
};

struct Step {
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::uint32_t nodes = 0;
    std::uint32_t ranks = 0;
    std::uint32_t uid = 0;
    std::uint32_t every_s = 0;
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;  // the highest ever used in it
    std::map<std::string, Member> members;

    // Nobody of it is connected any more.
    bool deserted() const;
    // Lets the tasks go on once those of all nodes have been forked.
    void start_if_forked();
};

class Steps {
  public:
    // What `channel`'s master says. The first word makes the step. Null if it contradicts what the
    // others of the step say; `why` tells.
    Step* join(const std::shared_ptr<Channel>& channel, const StepState& state, std::string& why);
    // The step the channel spoke for, if any; its member stays, away.
    Step* leave(const Channel* channel);

    // Another step of the job that is protected, or is about to be; if there is none, `step` is
    // about to be from now on: until its masters are here, or for two seconds.
    std::optional<std::uint32_t> claim(std::uint32_t job, std::uint32_t step,
                                       Steady::time_point now);
    // Ranks of the step have initialised and none is finalising.
    bool at_work(std::uint32_t job, std::uint32_t step);

    Step* find(std::uint32_t job, std::uint32_t step);
    std::vector<Step*> of_job(std::uint32_t job);
    std::vector<Step*> all();
    void drop(std::uint32_t job, std::uint32_t step);
    // All steps of a job, their channels closed with a reset: that life is over.
    void drop_job(std::uint32_t job, const Error& why);
    void close(const Error& why);

    // Expires with this.
    std::weak_ptr<const void> life() const { return life_; }

  private:
    struct Claim {
        std::uint32_t step;
        Steady::time_point until;
    };
    std::map<std::pair<std::uint32_t, std::uint32_t>, Step> steps_;
    std::map<std::uint32_t, Claim> claims_;  // by job
    std::shared_ptr<const void> life_ = std::make_shared<char>();
};

// Why the step cannot take a line now; empty: it can. One line, for users.
std::string line_obstacle(const Step& step, const Hosts& hosts);

// In JobReport's words: starting, ready, finalising, lost.
std::string step_condition(const Step& step, const Hosts& hosts);

}  // namespace grl::coordinator
