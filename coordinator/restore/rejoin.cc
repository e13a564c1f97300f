// The way back of the masters of a job whose guests run again.
#include "coordinator/restore/run.h"
#include "grl/base/log.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

void RestoreRun::rejoin() {
    for (const auto& [channel, master] : std::exchange(waiting_, {}))
        master_joined(channel, master);
    if (step_nodes_ != 0 && rejoined_.size() >= step_nodes_) all_answered();
}

void RestoreRun::master_joined(const std::shared_ptr<Channel>& channel, const StepState& master) {
    if (master.step != manifest_.step || rejoined_.count(master.node) != 0) return;
    if (state() == RestoreState::resume) {
        waiting_.emplace_back(channel, master);
        return;
    }
    auto& asked = released_[master.node];
    if (asked.lock() == channel) return;
    asked = channel;
    Release message;
    message.line = manifest_.line;
    message.attempt = manifest_.attempt;
    message.generation = generation_;
    message.now_ns = wall_ns();
    channel->request<Done>(message, Milliseconds(deadlines_.release_ms),
                           [weak = weak_from_this(), this, master](const Result<Done>& done) {
                               if (auto self = weak.lock()) rejoined(master, done);
                           });
}

void RestoreRun::rejoined(const StepState& master, const Result<Done>& done) {
    if (!done) {
        log_warning("releasing " + master.node + ": " + done.error().text());
        released_.erase(master.node);
        return;
    }
    log_info("node " + master.node + " has rejoined job " + std::to_string(job_));
    rejoined_.insert(master.node);
    step_nodes_ = master.nodes;
    if (state() == RestoreState::rejoin) rejoin();
}

}  // namespace grl::coordinator
