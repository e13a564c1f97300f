#include "coordinator/requests/check.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <set>

#include "coordinator/engine/clock.h"
#include "grl/messages/check.h"

namespace grl::coordinator {

namespace {

Error no(std::uint32_t job, const std::string& why, ErrorKind kind = ErrorKind::refused) {
    return fail("protecting job " + std::to_string(job), "", why, kind);
}

constexpr Milliseconds kLookAgain{50};
constexpr Milliseconds kLongestWait{10'000};

// Waits for the end of the job's other steps. srun comes back before its step's masters have gone,
// so one that follows on another would find that still here.
class Place : public std::enable_shared_from_this<Place> {
  public:
    Place(const Parts& parts, const CheckStep& question,
          std::function<void(Result<StepChecked>)> answer)
        : steps_(parts.steps),
          life_(parts.steps.life()),
          job_(question.job),
          step_(question.step),
          until_(Steady::now() + std::min(Milliseconds(question.wait_ms), kLongestWait)),
          pause_(parts.io),
          answer_(std::move(answer)) {}

    void look() {
        const auto other = steps_.claim(job_, step_, Steady::now());
        if (!other) return answer_(StepChecked{});
        const bool at_work = steps_.at_work(job_, *other);
        if (at_work || Steady::now() >= until_) {
            return answer_(StepChecked{"step " + std::to_string(job_) + "." +
                                       std::to_string(*other) +
                                       " is protected, and a line covers one step"});
        }
        pause_.expires_after(kLookAgain);
        pause_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (!ec && !self->life_.expired()) self->look();
        });
    }

  private:
    Steps& steps_;
    std::weak_ptr<const void> life_;
    std::uint32_t job_, step_;
    Steady::time_point until_;
    asio::steady_timer pause_;
    std::function<void(Result<StepChecked>)> answer_;
};

}  // namespace

void check_step(const Parts& parts, const Peer& peer, const CheckStep& question,
                std::function<void(Result<StepChecked>)> answer) {
    const std::uint32_t job = question.job;
    parts.slurm.look(job, Milliseconds(parts.config.deadlines.prepare_ms),
                     [parts, uid = peer.uid, question, job,
                      answer = std::move(answer)](const Result<JobFacts>& facts) {
                         if (!facts) return answer(facts.error());
                         if (uid != 0 && uid != facts->uid) {
                             return answer(no(job, "it is another user's job", ErrorKind::denied));
                         }
                         if (!facts->running) return answer(no(job, "the job is " + facts->state));
                         if (!facts->sharing.empty()) return answer(no(job, facts->sharing));
                         std::set<std::string> nodes(question.nodes.begin(), question.nodes.end());
                         nodes.insert(facts->nodes.begin(), facts->nodes.end());
                         for (const std::string& node : nodes) {
                             if (auto home = parts.hosts.home_of(node); !home)
                                 return answer(no(job, home.error().why));
                         }
                         std::make_shared<Place>(parts, question, answer)->look();
                     });
}

}  // namespace grl::coordinator
