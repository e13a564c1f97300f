#include "coordinator/requests/check.h"

#include <set>

#include "grl/messages/check.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

Error no(std::uint32_t job, const std::string& why, ErrorKind kind = ErrorKind::refused) {
    return fail("protecting job " + std::to_string(job), "", why, kind);
}

}  // namespace

void check_step(const Parts& parts, const Peer& peer, const CheckStep& question,
                std::function<void(Result<Done>)> answer) {
    const std::uint32_t job = question.job;
    parts.slurm.look(job, Milliseconds(parts.config.deadlines.prepare_ms),
                     [&hosts = parts.hosts, uid = peer.uid, question, job,
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
                             if (auto home = hosts.home_of(node); !home)
                                 return answer(no(job, home.error().why));
                         }
                         answer(Done{});
                     });
}

}  // namespace grl::coordinator
