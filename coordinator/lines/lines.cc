#include "coordinator/lines/lines.h"

#include <algorithm>

#include "coordinator/lines/run.h"
#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

constexpr std::chrono::milliseconds kAskAgain{5'000};  // a periodic line that was put off

}  // namespace

Lines::~Lines() {
    for (const auto& run : all()) run->abandon();
}

std::shared_ptr<JobRun> Lines::of(std::uint32_t job) const {
    auto it = jobs_.find(job);
    return it == jobs_.end() ? nullptr : it->second.run;
}

std::vector<std::shared_ptr<JobRun>> Lines::all() const {
    std::vector<std::shared_ptr<JobRun>> list;
    for (const auto& [id, job] : jobs_) {
        if (job.run) list.push_back(job.run);
    }
    list.insert(list.end(), alone_.begin(), alone_.end());
    return list;
}

std::vector<LineId> Lines::active() const {
    std::vector<LineId> list;
    for (const auto& run : all()) {
        if (run->id().line != 0 && run->has_files()) list.push_back(run->id());
    }
    return list;
}

// ---- asking for a line ----

void Lines::request(std::uint32_t id, Watcher<LineReport> watcher) {
    if (auto takes = takes_lines(id); !takes) return watcher.done(takes.error());
    const auto run = of(id);
    const Joining joining = run ? run->joining() : Joining::this_line;
    if (joining == Joining::refused) return watcher.done(put_off(id, "the job is held"));
    Job& job = jobs_[id];
    (joining == Joining::this_line ? job.now : job.next).push_back(std::move(watcher));
    if (run) return;
    begin(id, std::make_shared<LineRun>(setting(), id, hooks(id)),
          [this, id](const LineReport& report, Result<LineReport> outcome) {
              return line_ended(id, report, std::move(outcome));
          });
}

void Lines::rehearse(std::uint32_t id, Watcher<LineReport> watcher) {
    if (auto free = is_free(id); !free) return watcher.done(free.error());
    jobs_[id].now.push_back(std::move(watcher));
    begin(id, std::make_shared<Rehearsal>(setting(), id, hooks(id)), {});
}

Result<void> Lines::takes_lines(std::uint32_t id) const {
    if (parts_.steps.of_job(id).empty()) return no_step(id);
    if (const std::string why = held_off(id); !why.empty()) return put_off(id, why);
    return {};
}

Result<void> Lines::is_free(std::uint32_t id) const {
    if (auto takes = takes_lines(id); !takes) return takes;
    if (of(id)) return put_off(id, "another one is under way");
    return {};
}

// ---- a run, from its beginning to its end ----

JobSetting Lines::setting() const {
    return {parts_.io, parts_.config.cluster, parts_.config.coordinator.capture,
            parts_.config.deadlines};
}

JobHooks Lines::hooks(std::uint32_t id) {
    JobHooks hooks;
    hooks.admit = [this, id](const Shape& shape, const auto& then) { admit(id, shape, then); };
    hooks.bridges = [this] {
        std::vector<std::shared_ptr<Channel>> list;
        for (const Host* host : parts_.hosts.with_store()) list.push_back(host->channel);
        return list;
    };
    hooks.progress = [this, id](const LineReport& report) {
        for (const auto& watcher : jobs_[id].now) {
            if (watcher.progress) watcher.progress(report);
        }
    };
    hooks.ended = [this, id](const LineReport& report, const Manifest* manifest) {
        ended(id, report, manifest);
    };
    return hooks;
}

void Lines::begin(std::uint32_t id, std::shared_ptr<JobRun> run, Ending ending) {
    Job& job = jobs_[id];
    job.parted.reset();
    job.run = run;
    job.ending = std::move(ending);
    run->start();
}

void Lines::begin_alone(const std::shared_ptr<JobRun>& run) {
    alone_.push_back(run);
    run->start();
}

void Lines::watch(std::uint32_t id, Watcher<LineReport> watcher) {
    jobs_[id].now.push_back(std::move(watcher));
}

void Lines::ended(std::uint32_t id, const LineReport& report, const Manifest* manifest) {
    // Put off, so there was no line; or none that is kept.
    if (report.line == 0 || !jobs_[id].run->keeps_line()) return settle(id, report);
    const auto then = [this, id, report] { settle(id, report); };
    if (manifest) return note_committed(*manifest, report, then);
    parts_.store.run([report](Catalog& c) { return c.put_aborted(report); },
                     [then](const Result<void>& written) {
                         if (!written) log_error("noting a line: " + written.error().text());
                         then();
                     });
}

void Lines::settle(std::uint32_t id, const LineReport& report) {
    Job& job = jobs_[id];
    const auto run = std::exchange(job.run, nullptr);
    Result<LineReport> outcome = report;
    if (report.phase != Phase::done) {
        outcome = report.line == 0
                      ? put_off(id, report.reason)
                      : fail("line " + std::to_string(id) + "/" + std::to_string(report.line), "",
                             "aborted: " + report.reason);
    }
    if (const auto ending = std::exchange(job.ending, {})) {
        outcome = ending(report, std::move(outcome));
    }
    for (const auto& watcher : std::exchange(job.now, {})) watcher.done(outcome);
    for (const auto& then : std::exchange(job.idle, {})) then();

    Job& after = jobs_[id];  // the callbacks may have changed the map
    if (after.run || after.next.empty()) return;
    for (auto& watcher : std::exchange(after.next, {})) request(id, std::move(watcher));
}

Result<LineReport> Lines::line_ended(std::uint32_t id, const LineReport& report,
                                     Result<LineReport> outcome) {
    Job& job = jobs_[id];
    if (report.line == 0 && job.every_s > 0) {
        if (std::exchange(job.last_refusal, report.reason) != report.reason) {
            log_info(outcome.error().text());
        }
        const std::chrono::milliseconds every = std::chrono::seconds(job.every_s);
        if (job.timer) arm(id, std::min(kAskAgain, every));
    } else {
        job.last_refusal.clear();
    }
    if (report.phase == Phase::done) retire_old(id);
    return outcome;
}

// ---- lines that are kept ----

void Lines::commit(const Manifest& manifest, const LineReport& report,
                   const std::function<void()>& then) {
    const std::uint32_t id = report.job;
    note_committed(manifest, report, [this, id, then] {
        retire_old(id);
        then();
    });
}

// The line is done, also where a hold with it ended badly.
void Lines::note_committed(const Manifest& manifest, const LineReport& report,
                           const std::function<void()>& then) {
    LineReport line = report;
    line.phase = Phase::done;
    parts_.store.run([manifest, line](Catalog& c) { return c.put_committed(manifest, line); },
                     [then](const Result<void>& written) {
                         // The manifest stands, so the line does; the next start's catalog will
                         // have it.
                         if (!written) log_error("noting a line: " + written.error().text());
                         then();
                     });
}

void Lines::retire_old(std::uint32_t id) {
    if (!jobs_[id].held_off.empty()) return;  // a restore may be about to read one
    // The newest of the time-line stay; a line of one that was left goes once there are so many.
    const std::size_t keep = parts_.config.coordinator.keep_lines;
    auto work = [id, keep](Catalog& c) -> Result<std::vector<std::uint32_t>> {
        auto all = c.committed(id);
        if (!all) return all;
        auto kept = c.time_line(id);
        if (!kept) return kept;
        if (kept->size() < keep) return std::vector<std::uint32_t>();
        kept->erase(kept->begin(), kept->end() - static_cast<std::ptrdiff_t>(keep));
        std::erase_if(*all, [&](std::uint32_t line) {
            return std::ranges::find(*kept, line) != kept->end();
        });
        return all;
    };
    parts_.store.run(work, [this, id](const Result<std::vector<std::uint32_t>>& lines) {
        const auto hosts = parts_.hosts.with_store();
        if (!lines || hosts.empty()) return;
        for (const std::uint32_t line : *lines) {
            const LineId old{id, line};
            hosts.front()->channel->request<Done>(
                DeleteLine{old, parts_.hosts.store()},
                Milliseconds(parts_.config.deadlines.commit_ms),
                [this, old](const Result<Done>& deleted) {
                    if (!deleted) {
                        return log_warning("retiring a line: " + deleted.error().text());
                    }
                    parts_.store.note([old](Catalog& c) { return c.remove_line(old); });
                });
        }
    });
}

// ---- by timer ----

void Lines::step_changed(const Step& step) {
    if (step.every_s == 0) return;
    Job& job = jobs_[step.job];
    if (job.timer && job.every_s == step.every_s) return;
    job.every_s = step.every_s;
    job.timer = std::make_unique<asio::steady_timer>(parts_.io);
    arm(step.job, std::chrono::seconds(step.every_s));
}

void Lines::arm(std::uint32_t id, std::chrono::milliseconds after) {
    Job& job = jobs_[id];
    job.timer->expires_after(after);
    job.timer->async_wait([this, id](const boost::system::error_code& ec) {
        if (!ec) tick(id);
    });
}

// A line that takes longer than the interval makes the next one late, not double.
void Lines::tick(std::uint32_t id) {
    // The job may have gone in the very turn in which its timer went off.
    auto it = jobs_.find(id);
    if (it == jobs_.end() || !it->second.timer) return;
    Job& job = it->second;
    arm(id, std::chrono::seconds(job.every_s));
    const bool under_way = job.run && job.run->replaces_periodic();
    if (under_way || !job.held_off.empty()) return;
    request(id, {{}, [](const Result<LineReport>&) {}});
}

void Lines::hold_off(std::uint32_t id, const std::string& why) {
    Job& job = jobs_[id];
    job.held_off = why;
    if (why.empty()) return;
    for (const auto& watcher : std::exchange(job.next, {})) watcher.done(put_off(id, why));
}

std::string Lines::held_off(std::uint32_t id) const {
    auto it = jobs_.find(id);
    return it == jobs_.end() ? "" : it->second.held_off;
}

void Lines::when_idle(std::uint32_t id, std::function<void()> then) {
    Job& job = jobs_[id];
    if (!job.run) return then();
    job.idle.push_back(std::move(then));
}

void Lines::job_gone(std::uint32_t id) {
    auto it = jobs_.find(id);
    if (it == jobs_.end()) return;
    it->second.timer.reset();
    it->second.every_s = 0;
    if (!it->second.run && it->second.held_off.empty()) jobs_.erase(it);
}

}  // namespace grl::coordinator
