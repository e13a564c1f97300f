#include "coordinator/restore/restores.h"

#include "grl/messages/reports.h"

namespace grl::coordinator {

Restores::~Restores() {
    for (auto& [job, run] : runs_) run->abandon();
}

std::shared_ptr<RestoreRun> Restores::of(std::uint32_t job) const {
    auto it = runs_.find(job);
    return it == runs_.end() ? nullptr : it->second;
}

void Restores::request(std::uint32_t job, std::optional<std::uint32_t> line,
                       Watcher<RestoreReport> watcher, OtherLife other_life) {
    if (of(job)) {
        return watcher.done(fail("restore of job " + std::to_string(job), "",
                                 "a restore of it is under way", ErrorKind::refused));
    }
    RestoreRun::Hooks hooks;
    hooks.progress = std::move(watcher.progress);
    hooks.ended = [this, job, done = std::move(watcher.done)](Result<RestoreReport> outcome) {
        runs_.erase(job);
        done(std::move(outcome));
    };
    auto run = std::make_shared<RestoreRun>(parts_, lines_, job, line, other_life, std::move(hooks));
    runs_[job] = run;
    run->start();
}

}  // namespace grl::coordinator
