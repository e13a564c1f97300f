#include "coordinator/requests/masters.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kReapEvery{2000};
constexpr unsigned kRoundsToAskSlurm = 15;
constexpr std::uint32_t kMostAttempts = 1U << 31;

}  // namespace

Masters::Masters(Parts parts, Lines& lines, Restores& restores)
    : parts_(parts), lines_(lines), restores_(restores), reap_(parts.io) {
    reap();
}

void Masters::accept(std::shared_ptr<Channel> channel, const Peer& peer) {
    std::string why;
    const GuestInfo* guest = parts_.hosts.definition_of(peer.name);
    if (peer.uid != 0) {
        why = "uid " + std::to_string(peer.uid) + " is not root";
    } else if (!guest) {
        why = peer.name + " is no guest of a connected host";
    } else if (guest->address != peer.origin || guest->address != peer.address) {
        // Who holds the cluster's key can write any origin, but not connect from there.
        why = "the guest's address is " + guest->address + ", the connection's " + peer.address;
    }
    if (!why.empty()) {
        const std::string text =
            "refused the master of " + peer.name + " from " + peer.origin + ": " + why;
        // Kept for known guests only: the name is the stranger's to choose.
        if (!guest || std::exchange(refused_[peer.name], text) != text) log_warning(text);
        return channel->close(fail("accepting a master", peer.name, why, ErrorKind::denied));
    }
    refused_.erase(peer.name);
    Channel* raw = channel.get();
    auto take = [this, raw, node = peer.name](const std::string& type, const json::object& body) {
        if (type != StepState::kType) return;
        // Handlers run while the channel is alive.
        state(raw->shared_from_this(), node, body);
    };
    channel->set_handlers({
        .event = take,
        .request =
            [take](const std::string& type, const json::object& body,
                   Channel::Responder responder) {
                take(type, body);
                responder.reply(Done{});
            },
        .closed = [this, raw, node = peer.name](const Error& why) { away(raw, node, why); },
    });
    channel->start();
}

void Masters::state(const std::shared_ptr<Channel>& channel, const std::string& node,
                    const json::object& body) {
    auto refuse = [&](const std::string& why) {
        log_warning("refused the master of " + node + ": " + why);
        channel->close(fail("serving a master", node, why, ErrorKind::denied));
    };
    auto read = from_json<StepState>(body, StepState::kType);
    if (!read) return refuse(read.error().text());
    const StepState& said = *read;
    if (said.node != node) return refuse("it speaks for " + said.node);
    if (said.attempt > kMostAttempts || said.generation > kMostAttempts) {
        return refuse("its counters are beyond reason");
    }
    if (!vetted(channel, node, said, body)) return;
    auto restore = restores_.of(said.job);
    if (restore && restore->over()) restore.reset();
    if (restore && !takes_masters(restore->state())) {
        return channel->close(fail("serving a master", node, "its job is rolled back"), true);
    }
    std::string why;
    Step* step = parts_.steps.find(said.job, said.step);
    const auto member = step ? step->members.find(node) : decltype(step->members.find(node)){};
    const bool back = !step || member == step->members.end() || member->second.channel != channel;
    step = parts_.steps.join(channel, said, why);
    if (!step) return refuse(why);
    if (back) {
        log_info("step " + std::to_string(said.job) + "." + std::to_string(said.step) + ": node " +
                 node + " is here");
    }
    step->start_if_forked();
    lines_.step_changed(*step);
    if (restore) return restore->master_joined(channel, said);
    const auto run = lines_.of(said.job);
    if (run) run->master_says(said);
    if (back && run && run->master_back(channel, said)) return;
    if (!said.closed && !(run && run->owns(said))) return release(channel, said, step->generation);
    // The other nodes' agents stay in the fence of an attempt until this node's have made it up.
    if (!run && said.closed && said.attempt < step->attempt) {
        StepState missed = said;
        missed.attempt = step->attempt;
        release(channel, missed, step->generation);
    }
}

// What a master says first must be what Slurm says: root in a guest is not believed further than
// its own guest and the job that has it. What comes until Slurm has answered replaces what came
// before.
bool Masters::vetted(const std::shared_ptr<Channel>& channel, const std::string& node,
                     const StepState& said, const json::object& body) {
    Vetting& vetting = vetting_[channel.get()];
    if (vetting.channel.lock() != channel) {
        vetting = {};
        vetting.channel = channel;
    }
    if (vetting.done) {
        if (vetting.job == said.job && vetting.step == said.step) return true;
        channel->close(
            fail("serving a master", node, "it speaks for two steps", ErrorKind::denied));
        vetting_.erase(channel.get());
        return false;
    }
    vetting.latest = body;
    if (vetting.job != 0) return false;
    vetting.job = said.job;
    vetting.step = said.step;
    parts_.slurm.look(
        said.job, Milliseconds(parts_.config.deadlines.prepare_ms),
        [this, weak = std::weak_ptr<Channel>(channel), key = channel.get(), node,
         uid = said.uid](const Result<JobFacts>& facts) {
            auto it = vetting_.find(key);
            auto channel = weak.lock();
            if (it == vetting_.end() || !channel) return;
            const auto fault = [&]() -> std::string {
                if (!facts) return facts.error().text();
                if (!facts->running) return "its job is " + facts->state;
                if (facts->uid != uid) return "the job is another user's";
                const auto& nodes = facts->nodes;
                const bool has = std::find(nodes.begin(), nodes.end(), node) != nodes.end();
                return has ? "" : "the job does not have its node";
            }();
            if (!fault.empty()) {
                log_warning("refused the master of " + node + ": " + fault);
                vetting_.erase(it);
                return channel->close(fail("serving a master", node, fault, ErrorKind::denied));
            }
            it->second.done = true;
            state(channel, node, std::exchange(it->second.latest, {}));
        });
    return false;
}

// A line that nobody takes any more: the job lost nothing, its gates open.
void Masters::release(const std::shared_ptr<Channel>& master, const StepState& state,
                      std::uint32_t known) {
    parts_.store.run([job = state.job](Catalog& c) { return c.generation(job); },
                     [weak = std::weak_ptr<Channel>(master), state, known,
                      limit = Milliseconds(parts_.config.deadlines.release_ms)](
                         const Result<std::uint32_t>& generation) {
                         auto channel = weak.lock();
                         if (!channel) return;
                         Release message;
                         message.line = state.line;
                         message.attempt = state.attempt;
                         message.generation = std::max(known, generation ? *generation : 0);
                         message.aborted = true;
                         message.now_ns = wall_ns();
                         channel->request<Done>(
                             message, limit, [node = state.node](const Result<Done>& done) {
                                 if (!done)
                                     log_warning("releasing " + node + ": " + done.error().text());
                             });
                     });
}

void Masters::away(const Channel* channel, const std::string& node, const Error& why) {
    vetting_.erase(channel);
    Step* step = parts_.steps.leave(channel);
    if (!step) return;
    log_info("step " + std::to_string(step->job) + "." + std::to_string(step->step) + ": node " +
             node + " is away: " + why.why);
    if (auto run = lines_.of(step->job)) run->master_away(node, why.why);
}

void Masters::forget(const Step& step) {
    const std::uint32_t job = step.job;
    log_info("step " + std::to_string(job) + "." + std::to_string(step.step) + " is over");
    parts_.steps.drop(job, step.step);
    if (parts_.steps.of_job(job).empty()) lines_.job_gone(job);
}

// Guests that stand still cannot end what Slurm tells them to end, so Slurm would wait for the end
// of the hold, and give the nodes up if it is long.
void Masters::end_hold_of_the_cancelled(const Step& step) {
    const auto held = lines_.of(step.job);
    if (!held || held->joining() != Joining::refused) return;
    parts_.slurm.look(
        step.job, Milliseconds(parts_.config.deadlines.prepare_ms),
        [this, job = step.job](const Result<JobFacts>& facts) {
            const bool over = facts ? !facts->running : facts.error().kind == ErrorKind::not_found;
            const auto run = lines_.of(job);
            if (!over || !run || run->joining() != Joining::refused) return;
            run->cancel("Slurm says that the job is " + (facts ? facts->state : "gone"));
        });
}

// A step without masters is over, unless a guest of it is gone: then it waits for its restore, as
// long as Slurm runs the job.
void Masters::reap() {
    reap_.expires_after(kReapEvery);
    reap_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        std::erase_if(vetting_, [](const auto& v) { return v.second.channel.expired(); });
        const bool ask = ++rounds_ % kRoundsToAskSlurm == 0;
        for (Step* step : parts_.steps.all()) {
            end_hold_of_the_cancelled(*step);
            if (!step->deserted() || lines_.of(step->job) || restores_.of(step->job)) continue;
            if (step_condition(*step, parts_.hosts) != "lost") {
                forget(*step);
            } else if (ask) {
                parts_.slurm.look(
                    step->job, Milliseconds(parts_.config.deadlines.prepare_ms),
                    [this, job = step->job, number = step->step](const Result<JobFacts>& facts) {
                        const bool over =
                            facts ? !facts->running : facts.error().kind == ErrorKind::not_found;
                        Step* step = parts_.steps.find(job, number);
                        if (over && step && step->deserted()) forget(*step);
                    });
            }
        }
        reap();
    });
}

}  // namespace grl::coordinator
