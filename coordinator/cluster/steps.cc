#include "coordinator/cluster/steps.h"

#include <algorithm>
#include <utility>

#include "grl/messages/masters.h"

namespace grl::coordinator {

namespace {

// Less than a check waits, so that a step that has ended unseen costs the next one time only.
constexpr std::chrono::milliseconds kClaim{2000};

}  // namespace

bool Step::deserted() const {
    return std::all_of(members.begin(), members.end(),
                       [](const auto& m) { return m.second.channel == nullptr; });
}

void Step::start_if_forked() {
    if (members.size() != nodes) return;
    for (const auto& [node, member] : members) {
        if (!member.channel || !member.state.forked) return;
    }
    for (auto& [node, member] : members) {
        if (!std::exchange(member.started, true)) member.channel->send(Start{});
    }
}

Step* Steps::join(const std::shared_ptr<Channel>& channel, const StepState& state,
                  std::string& why) {
    if (state.nodes == 0 || state.ranks == 0 || state.local_ranks > state.ranks) {
        why = "a step without nodes or ranks";
        return nullptr;
    }
    Step& step = steps_[{state.job, state.step}];
    const bool differs =
        step.nodes != state.nodes || step.ranks != state.ranks || step.uid != state.uid;
    if (differs && !step.deserted()) {
        why = "it does not agree with the step's other masters";
        return nullptr;
    }
    if (differs) step = {};  // new, or a job that Slurm has queued again
    step.job = state.job;
    step.step = state.step;
    step.nodes = state.nodes;
    step.ranks = state.ranks;
    step.uid = state.uid;
    step.every_s = state.every_s;
    step.generation = std::max(step.generation, state.generation);
    step.attempt = std::max(step.attempt, state.attempt);
    Member& member = step.members[state.node];
    if (member.channel && member.channel != channel) {
        member.channel->close(
            fail("serving the master on " + state.node, "", "it has connected anew"), true);
    }
    if (member.channel != channel) member.started = false;
    member.channel = channel;
    member.state = state;
    return &step;
}

Step* Steps::leave(const Channel* channel) {
    for (auto& [key, step] : steps_) {
        for (auto& [node, member] : step.members) {
            if (member.channel.get() != channel) continue;
            member.channel.reset();
            return &step;
        }
    }
    return nullptr;
}

std::optional<std::uint32_t> Steps::claim(std::uint32_t job, std::uint32_t step,
                                          Steady::time_point now) {
    std::erase_if(claims_, [now](const auto& claim) { return claim.second.until <= now; });
    for (const Step* other : of_job(job)) {
        if (other->step != step && !other->deserted()) return other->step;
    }
    const auto held = claims_.find(job);
    if (held != claims_.end() && held->second.step != step && !find(job, held->second.step))
        return held->second.step;
    claims_[job] = {step, now + kClaim};
    return {};
}

bool Steps::at_work(std::uint32_t job, std::uint32_t step) {
    std::uint32_t joined = 0;
    const Step* found = find(job, step);
    if (!found) return false;
    for (const auto& [node, member] : found->members) {
        if (member.state.leaving > 0) return false;
        joined += member.state.joined;
    }
    return joined > 0;
}

Step* Steps::find(std::uint32_t job, std::uint32_t step) {
    auto it = steps_.find({job, step});
    return it == steps_.end() ? nullptr : &it->second;
}

std::vector<Step*> Steps::of_job(std::uint32_t job) {
    std::vector<Step*> list;
    for (auto& [key, step] : steps_) {
        if (key.first == job) list.push_back(&step);
    }
    return list;
}

std::vector<Step*> Steps::all() {
    std::vector<Step*> list;
    for (auto& [key, step] : steps_) list.push_back(&step);
    return list;
}

void Steps::drop(std::uint32_t job, std::uint32_t step) {
    steps_.erase({job, step});
}

void Steps::drop_job(std::uint32_t job, const Error& why) {
    for (auto it = steps_.begin(); it != steps_.end();) {
        if (it->first.first != job) {
            ++it;
            continue;
        }
        Step step = std::move(it->second);
        it = steps_.erase(it);
        for (auto& [node, member] : step.members) {
            if (member.channel) member.channel->close(why, true);
        }
    }
}

void Steps::close(const Error& why) {
    auto steps = std::move(steps_);
    steps_.clear();
    for (auto& [key, step] : steps) {
        for (auto& [node, member] : step.members) {
            if (member.channel) member.channel->close(why);
        }
    }
}

std::string line_obstacle(const Step& step, const Hosts& hosts) {
    std::uint32_t present = 0;
    for (const auto& [node, member] : step.members) {
        auto home = hosts.home_of(node);
        if (!home) return home.error().why;
        if (member.channel) ++present;
    }
    for (const auto& [node, member] : step.members) {
        if (member.state.leaving > 0) return "ranks on " + node + " are finalising or have ended";
    }
    if (present < step.nodes) {
        for (const auto& [node, member] : step.members) {
            if (!member.channel) return "the master on " + node + " is away";
        }
        return "masters on " + std::to_string(present) + " of " + std::to_string(step.nodes) +
               " nodes are here";
    }
    std::uint32_t joined = 0;
    for (const auto& [node, member] : step.members) {
        const StepState& s = member.state;
        joined += s.joined;
        if (s.joined < s.local_ranks) {
            return "on " + node + " " + std::to_string(s.joined) + " of " +
                   std::to_string(s.local_ranks) + " ranks have initialised";
        }
        if (!s.closed) return "on " + node + " the last line is not over";
    }
    if (joined != step.ranks) {
        return std::to_string(joined) + " of " + std::to_string(step.ranks) +
               " ranks have initialised";
    }
    return {};
}

std::string step_condition(const Step& step, const Hosts& hosts) {
    bool leaving = false;
    for (const auto& [node, member] : step.members) {
        if (!hosts.home_of(node)) return "lost";
        leaving = leaving || member.state.leaving > 0;
    }
    if (leaving || step.deserted()) return "finalising";
    return line_obstacle(step, hosts).empty() ? "ready" : "starting";
}

}  // namespace grl::coordinator
