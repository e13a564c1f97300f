#include "coordinator/hold/holds.h"

#include "coordinator/engine/gather.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

constexpr std::uint32_t kLongestHold_s = 86'400;
constexpr std::uint32_t kUsualHold_s = 3'600;

Error cannot_let_go(std::uint32_t job, const std::string& why, ErrorKind kind = ErrorKind::failed) {
    return fail("letting job " + std::to_string(job) + " go", "", why, kind);
}

}  // namespace

void Holds::hold(const HoldJob& ask, Watcher<HeldJob> watcher) {
    const std::uint32_t id = ask.job;
    if (auto free = lines_.is_free(id); !free) return watcher.done(free.error());
    JobHooks hooks = lines_.hooks(id);
    hooks.progress = [this, id, waiting = hooks.progress](const LineReport& report) {
        waiting(report);
        const auto& holder = holders_[id].watcher;
        if (holder && holder->progress) holder->progress({report, 0, 0});
    };
    auto run = std::make_shared<HoldRun>(
        lines_.setting(), ask, std::move(hooks),
        [this, id](const HeldJob& held, const Manifest* manifest) { began(id, held, manifest); });
    holders_[id] = {run, std::move(watcher)};
    lines_.begin(id, run, [this, id](const LineReport& report, Result<LineReport> outcome) {
        return ended(id, report, std::move(outcome));
    });
}

void Holds::began(std::uint32_t id, const HeldJob& held, const Manifest* manifest) {
    auto tell = [this, id, held] {
        auto it = holders_.find(id);
        if (it == holders_.end()) return;
        if (auto watcher = std::exchange(it->second.watcher, std::nullopt)) watcher->done(held);
    };
    manifest ? lines_.commit(*manifest, held.report, tell) : tell();
}

Result<LineReport> Holds::ended(std::uint32_t id, const LineReport& report,
                                Result<LineReport> outcome) {
    Holder holder = std::move(holders_[id]);
    holders_.erase(id);
    const std::string subject = "the hold of job " + std::to_string(id);
    if (holder.run->line_stands() && !report.reason.empty()) {
        lines_.parted(id) = report;
        outcome = fail(subject, "", report.reason);
    }
    if (holder.watcher) {
        holder.watcher->done(outcome ? fail(subject, "", "it was ended before it began")
                                     : outcome.error());
    }
    return outcome;
}

void Holds::let_go(std::uint32_t id, Watcher<LineReport> watcher) {
    if (const std::string why = lines_.held_off(id); !why.empty()) {
        return watcher.done(cannot_let_go(id, why, ErrorKind::refused));
    }
    if (!lines_.of(id) && lines_.parted(id)) return free_parted(id, std::move(watcher));
    const auto held = holders_.find(id);
    if (held == holders_.end()) {
        return watcher.done(cannot_let_go(id, "it is not held", ErrorKind::not_found));
    }
    lines_.watch(id, std::move(watcher));  // first: it may end at once
    const auto run = held->second.run;
    run->let_go();
}

// What is left of a job of which a part has gone stands still on its hosts; its masters open the
// gates when they hear from the coordinator again.
void Holds::free_parted(std::uint32_t id, Watcher<LineReport> watcher) {
    for (const GuestReport& g : lines_.parted(id)->guests) {
        if (!parts_.hosts.homes_of(g.guest).empty()) continue;
        return watcher.done(cannot_let_go(
            id, "guest " + g.guest + " is gone, so it can only be restored", ErrorKind::refused));
    }
    const LineReport report = *std::exchange(lines_.parted(id), std::nullopt);
    Gather<std::string> gather({}, [report, watcher = std::move(watcher)](std::string& fault) {
        if (fault.empty()) return watcher.done(report);
        watcher.done(cannot_let_go(report.job, fault));
    });
    for (const Host* host : parts_.hosts.connected()) {
        host->channel->request<Done>(
            AbortLine{{report.job, report.line}}, Milliseconds(parts_.config.deadlines.release_ms),
            gather.one([name = host->name](std::string& fault, const Result<Done>& done) {
                if (!done) fault = name + ": " + done.error().text();
            }));
    }
    gather.all_asked();
}

Result<std::uint32_t> hold_limit(std::uint32_t job, std::uint32_t asked_s,
                                 std::uint32_t slurmd_timeout_s) {
    // Slurm looks at a node about three times in that time, and may have looked long ago.
    const std::uint32_t most = slurmd_timeout_s == 0 ? kLongestHold_s : slurmd_timeout_s / 2;
    if (asked_s == 0) return std::min(most, kUsualHold_s);
    if (asked_s <= most) return asked_s;
    return fail("a hold of job " + std::to_string(job), "",
                slurmd_timeout_s == 0
                    ? "it may last " + std::to_string(most) + " s at most"
                    : "Slurm gives silent nodes up after " + std::to_string(slurmd_timeout_s) +
                          " s (SlurmdTimeout), so it may last " + std::to_string(most) +
                          " s at most",
                ErrorKind::refused);
}

}  // namespace grl::coordinator
