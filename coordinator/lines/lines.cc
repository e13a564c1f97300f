#include "coordinator/lines/lines.h"

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

constexpr std::uint32_t kLongestHold_s = 86'400;
constexpr std::uint32_t kUsualHold_s = 3'600;
constexpr std::chrono::milliseconds kAskAgain{5'000};  // a periodic line that was put off

Error put_off(std::uint32_t job, const std::string& why) {
    return fail("a line of job " + std::to_string(job), "", why, ErrorKind::refused);
}

Error job_over(std::uint32_t job, const std::string& state) {
    return fail("a line of job " + std::to_string(job), "", "the job is over (" + state + ")",
                ErrorKind::not_found);
}

Error no_step(std::uint32_t job) {
    return fail("a line of job " + std::to_string(job), "",
                "the job has no protected step (srun --grl-checkpoint)", ErrorKind::not_found);
}

}  // namespace

Lines::~Lines() {
    for (auto& [id, job] : jobs_) {
        if (job.run) job.run->abandon();
    }
    for (auto& [move, run] : alone_) run->abandon();
}

std::shared_ptr<LineRun> Lines::of(std::uint32_t job) const {
    auto it = jobs_.find(job);
    return it == jobs_.end() ? nullptr : it->second.run;
}

std::vector<std::shared_ptr<LineRun>> Lines::all() const {
    std::vector<std::shared_ptr<LineRun>> list;
    for (const auto& [id, job] : jobs_) {
        if (job.run) list.push_back(job.run);
    }
    for (const auto& [move, run] : alone_) list.push_back(run);
    return list;
}

std::shared_ptr<LineRun> Lines::of_move(std::uint32_t move) const {
    for (const auto& run : all()) {
        if (run->move() && run->move()->move == move) return run;
    }
    return nullptr;
}

std::vector<LineId> Lines::active() const {
    std::vector<LineId> list;
    for (const auto& run : all()) {
        if (run->id().line != 0 && !run->move()) list.push_back(run->id());
    }
    return list;
}

// ---- asking for a line ----

void Lines::request(std::uint32_t id, Watcher<LineReport> watcher) {
    if (parts_.steps.of_job(id).empty()) return watcher.done(no_step(id));
    Job& job = jobs_[id];
    if (!job.held_off.empty()) return watcher.done(put_off(id, job.held_off));
    if (!job.run) {
        job.now.push_back(std::move(watcher));
        return begin(id, LineKind::line);
    }
    if (job.run->kind() == LineKind::hold) return watcher.done(put_off(id, "the job is held"));
    const bool joins = job.run->machine().before_cut() && job.run->kind() == LineKind::line;
    (joins ? job.now : job.next).push_back(std::move(watcher));
}

void Lines::rehearse(std::uint32_t id, Watcher<LineReport> watcher) {
    if (parts_.steps.of_job(id).empty()) return watcher.done(no_step(id));
    Job& job = jobs_[id];
    if (!job.held_off.empty()) return watcher.done(put_off(id, job.held_off));
    if (job.run) return watcher.done(put_off(id, "another one is under way"));
    job.now.push_back(std::move(watcher));
    begin(id, LineKind::rehearsal);
}

void Lines::hold(const HoldJob& ask, Watcher<HeldJob> watcher) {
    const std::uint32_t id = ask.job;
    if (parts_.steps.of_job(id).empty()) return watcher.done(no_step(id));
    Job& job = jobs_[id];
    if (!job.held_off.empty()) return watcher.done(put_off(id, job.held_off));
    if (job.run) return watcher.done(put_off(id, "another one is under way"));
    job.holder = std::move(watcher);
    job.hold = ask;
    begin(id, LineKind::hold);
}

void Lines::let_go(std::uint32_t id, Watcher<LineReport> watcher) {
    const auto run = of(id);
    const bool held = run && run->kind() == LineKind::hold;
    if (const std::string& why = jobs_[id].held_off; !why.empty()) {
        return watcher.done(
            fail("letting job " + std::to_string(id) + " go", "", why, ErrorKind::refused));
    }
    if (!run && jobs_[id].parted) return free_parted(id, std::move(watcher));
    if (!held) {
        return watcher.done(fail("letting job " + std::to_string(id) + " go", "", "it is not held",
                                 ErrorKind::not_found));
    }
    jobs_[id].now.push_back(std::move(watcher));  // first: either may end it at once
    run->let_go();
    if (run->machine().state() != LineState::release) run->cancel("it is to go on");
}

// What is left of a job of which a part has gone stands still on its hosts; its masters open the
// gates when they hear from the coordinator again.
void Lines::free_parted(std::uint32_t id, Watcher<LineReport> watcher) {
    for (const GuestReport& g : jobs_[id].parted->guests) {
        if (!parts_.hosts.homes_of(g.guest).empty()) continue;
        return watcher.done(fail("letting job " + std::to_string(id) + " go", "",
                                 "guest " + g.guest + " is gone, so it can only be restored",
                                 ErrorKind::refused));
    }
    const auto report = *std::exchange(jobs_[id].parted, std::nullopt);
    struct Round {
        std::size_t left = 1;  // one for this call
        std::string fault;
    };
    auto round = std::make_shared<Round>();
    auto end_one = [round, report, watcher = std::move(watcher)] {
        if (--round->left != 0) return;
        if (round->fault.empty()) return watcher.done(report);
        watcher.done(fail("letting job " + std::to_string(report.job) + " go", "", round->fault));
    };
    for (const Host* host : parts_.hosts.connected()) {
        ++round->left;
        host->channel->request<Done>(AbortLine{{report.job, report.line}},
                                     Milliseconds(parts_.config.deadlines.release_ms),
                                     [round, end_one, name = host->name](const Result<Done>& done) {
                                         if (!done)
                                             round->fault = name + ": " + done.error().text();
                                         end_one();
                                     });
    }
    end_one();
}

void Lines::begin(std::uint32_t id, LineKind kind) {
    jobs_[id].parted.reset();
    jobs_[id].run = make(id, kind, hooks(id, kind));
    const auto run = jobs_[id].run;
    run->start();
}

std::shared_ptr<LineRun> Lines::make(std::uint32_t id, LineKind kind, LineRun::Hooks hooks) {
    return std::make_shared<LineRun>(parts_.io, id, kind, parts_.config.cluster,
                                     parts_.config.coordinator.capture, parts_.config.deadlines,
                                     std::move(hooks));
}

LineRun::Hooks Lines::hooks(std::uint32_t id, LineKind kind) {
    LineRun::Hooks hooks;
    hooks.admit = [this, id, kind](auto then) {
        kind == LineKind::move ? admit_move(id, std::move(then)) : admit(id, kind, std::move(then));
    };
    hooks.bridges = [this] {
        std::vector<std::shared_ptr<Channel>> list;
        for (const Host* host : parts_.hosts.connected()) list.push_back(host->channel);
        return list;
    };
    hooks.progress = [this, id](const LineReport& report) {
        const Job& job = jobs_[id];
        for (const auto& watcher : job.now) {
            if (watcher.progress) watcher.progress(report);
        }
        if (job.holder && job.holder->progress) job.holder->progress({report, 0, 0});
    };
    hooks.held = [this, id](const HeldJob& held, const Manifest* manifest) {
        auto tell = [this, id, held] {
            if (auto holder = std::exchange(jobs_[id].holder, std::nullopt)) holder->done(held);
        };
        if (!manifest) return tell();
        LineReport report = held.report;
        report.phase = Phase::done;
        note_committed(*manifest, report, [this, id, tell] {
            retire_old(id);
            tell();
        });
    };
    hooks.moving = [this, id](const MoveReport& report) {
        const Job& job = jobs_[id];
        if (job.mover && job.mover->progress) job.mover->progress(report);
    };
    hooks.ended = [this, id](const LineReport& report, const Manifest* manifest) {
        ended(id, report, manifest);
    };
    return hooks;
}

// ---- a move ----

void Lines::move(std::uint32_t id, MoveOrder order, Watcher<MoveReport> watcher) {
    if (id == 0) return move_alone(std::move(order), std::move(watcher));
    Job& job = jobs_[id];
    auto refuse = [&](const std::string& why) {
        watcher.done(fail("moving guest " + order.guest, "",
                          "job " + std::to_string(id) + ": " + why, ErrorKind::refused));
    };
    if (!job.held_off.empty()) return refuse(job.held_off);
    if (job.run && job.run->kind() == LineKind::hold) return refuse("it is held");
    if (job.run) {
        return job.idle.push_back([this, id, order = std::move(order),
                                   watcher = std::move(watcher)] { move(id, order, watcher); });
    }
    job.moving = std::move(order);
    job.mover = std::move(watcher);
    begin(id, LineKind::move);
}

void Lines::move_alone(MoveOrder order, Watcher<MoveReport> watcher) {
    const std::uint32_t move = order.move;
    LineOrder line;
    line.kind = LineKind::move;
    line.id.line = move;
    line.move = std::move(order);
    LineRun::Hooks hooks;
    hooks.admit = [line](const auto& then) { then(line); };
    hooks.bridges = [] { return std::vector<std::shared_ptr<Channel>>(); };
    hooks.moving = watcher.progress;
    hooks.ended = [this, move, done = watcher.done](const LineReport&, const Manifest*) {
        const auto run = alone_[move];
        alone_.erase(move);
        done(run->move_report());
    };
    const auto run = alone_[move] = make(0, LineKind::move, std::move(hooks));
    run->start();
}

// A guest can be moved without a silence, too: whatever forbids a line does not hold it here.
void Lines::admit_move(std::uint32_t id, std::function<void(Result<LineOrder>)> then) {
    // The run may have ended before the answer is here.
    admit(id, LineKind::move, [id, move = *jobs_[id].moving, then](Result<LineOrder> order) {
        if (order) return then(std::move(order));
        LineOrder line;
        line.id = {id, move.move};
        line.kind = LineKind::move;
        line.move = move;
        line.move->undrained = order.error().why;
        then(std::move(line));
    });
}

// Here first, then by Slurm, then here again, as time has passed; the number comes last, so that a
// request that is put off takes none.
void Lines::admit(std::uint32_t id, LineKind kind, std::function<void(Result<LineOrder>)> then) {
    if (auto step = line_step(parts_.steps, parts_.hosts, id); !step) return then(step.error());
    const Milliseconds limit(parts_.config.deadlines.prepare_ms);
    parts_.slurm.look(id, limit, [this, id, kind, then](Result<JobFacts> facts) {
        if (!facts) return then(put_off(id, facts.error().text()));
        if (facts->over) return then(job_over(id, facts->state));
        if (!facts->running) return then(put_off(id, "the job is " + facts->state));
        if (!facts->sharing.empty()) return then(put_off(id, facts->sharing));
        if (auto possible = order(id, kind, *facts); !possible) return then(possible.error());

        struct Numbers {
            std::uint32_t line, generation;
        };
        auto take = [id](Catalog& c) -> Result<Numbers> {
            auto generation = c.generation(id);
            if (!generation) return generation.error();
            auto line = c.take_line(id);
            if (!line) return line.error();
            return Numbers{*line, *generation};
        };
        parts_.sweep.when_quiet([this, id, kind, then, take, facts = *facts] {
            parts_.store.run(take, [this, id, kind, then, facts](Result<Numbers> numbers) {
                if (!numbers) return then(numbers.error());
                // A sweep that has begun since does not know this number: after it.
                parts_.sweep.when_quiet([this, id, kind, then, facts, numbers = *numbers] {
                    auto order = this->order(id, kind, facts);
                    if (!order) return then(order.error());
                    Step& step = **line_step(parts_.steps, parts_.hosts, id);
                    order->id.line = numbers.line;
                    order->generation = std::max(numbers.generation, step.generation);
                    order->attempt = ++step.attempt;
                    then(std::move(order));
                });
            });
        });
    });
}

Result<LineOrder> Lines::order(std::uint32_t id, LineKind kind, const JobFacts& facts) {
    auto step = line_step(parts_.steps, parts_.hosts, id);
    if (!step) return step.error();
    auto order = line_order(**step, parts_.hosts, facts.nodes);
    if (!order) return order;
    order->kind = kind;
    if (kind == LineKind::rehearsal || kind == LineKind::move) order->hosts.clear();
    if (kind == LineKind::move) order->move = jobs_[id].moving;
    if (kind == LineKind::hold) {
        const HoldJob& ask = jobs_[id].hold;
        auto limit = hold_limit(id, ask.limit_s, facts.slurmd_timeout_s);
        if (!limit) return limit.error();
        order->keeps_line = ask.checkpoint;
        order->hold_s = *limit;
        order->slurmd_timeout_s = facts.slurmd_timeout_s;
    }
    return order;
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

Result<Step*> line_step(Steps& steps, const Hosts& hosts, std::uint32_t job) {
    Step* found = nullptr;
    for (Step* step : steps.of_job(job)) {
        if (step->deserted()) continue;
        if (found) {
            return put_off(job, "steps " + std::to_string(found->step) + " and " +
                                    std::to_string(step->step) +
                                    " run at the same time; a line covers one step");
        }
        found = step;
    }
    if (!found) return put_off(job, "no master of the job is connected");
    const std::string obstacle = line_obstacle(*found, hosts);
    if (!obstacle.empty()) return put_off(job, obstacle);
    return found;
}

// All guests of the job, not of the step only: the batch script may sit on another node of it.
Result<LineOrder> line_order(const Step& step, const Hosts& hosts,
                             const std::vector<std::string>& job_nodes) {
    LineOrder order;
    order.id.job = step.job;
    order.step = step.step;
    order.uid = step.uid;
    order.every_s = step.every_s;
    std::set<std::string> guests(job_nodes.begin(), job_nodes.end());
    for (const auto& [node, member] : step.members) {
        guests.insert(node);
        order.members.push_back({node, member.channel});
    }
    std::map<std::string, LineHost> by_name;
    for (const std::string& guest : guests) {
        auto home = hosts.home_of(guest);
        if (!home) return put_off(step.job, home.error().why);
        const Host& host = **home;
        LineHost& line_host = by_name[host.name];
        line_host.name = host.name;
        line_host.channel = host.channel;
        line_host.driver = host.inventory.driver;
        line_host.vmm_version = host.inventory.vmm_version;
        for (const GuestInfo& g : host.inventory.guests) {
            if (g.name == guest) line_host.guests.push_back(g);
        }
    }
    for (auto& [name, host] : by_name) {
        if (!order.hosts.empty() && order.hosts.front().driver != host.driver) {
            return put_off(step.job, "hosts " + order.hosts.front().name + " and " + name +
                                         " run different VMMs");
        }
        order.hosts.push_back(std::move(host));
    }
    return order;
}

// ---- afterwards ----

void Lines::ended(std::uint32_t id, const LineReport& report, const Manifest* manifest) {
    // Put off, so there was no line; or none that is kept.
    if (report.line == 0 || !jobs_[id].run->keeps_line()) return settle(id, report);
    const auto then = [this, id, report] { settle(id, report); };
    if (manifest) {
        LineReport line = report;  // also of a hold that ended badly
        line.phase = Phase::done;
        return note_committed(*manifest, line, then);
    }
    parts_.store.run([report](Catalog& c) { return c.put_aborted(report); },
                     [then](const Result<void>& written) {
                         if (!written) log_error("noting a line: " + written.error().text());
                         then();
                     });
}

void Lines::note_committed(const Manifest& manifest, const LineReport& report,
                           const std::function<void()>& then) {
    parts_.store.run([manifest, report](Catalog& c) { return c.put_committed(manifest, report); },
                     [then](const Result<void>& written) {
                         // The manifest stands, so the line does; the next start's catalog will
                         // have it.
                         if (!written) log_error("noting a line: " + written.error().text());
                         then();
                     });
}

void Lines::settle(std::uint32_t id, const LineReport& report) {
    Job& job = jobs_[id];
    const bool done = report.phase == Phase::done;
    const bool kept = job.run->kind() == LineKind::line;
    const bool committed = done && kept;
    const auto run = std::exchange(job.run, nullptr);
    Result<LineReport> outcome = report;
    if (!done) {
        outcome = report.line == 0
                      ? put_off(id, report.reason)
                      : fail("line " + std::to_string(id) + "/" + std::to_string(report.line), "",
                             "aborted: " + report.reason);
    }
    if (run->line_stands() && !report.reason.empty()) {
        job.parted = report;
        outcome = fail("the hold of job " + std::to_string(id), "", report.reason);
    }
    if (report.line == 0 && job.every_s > 0 && kept) {
        if (std::exchange(job.last_refusal, report.reason) != report.reason) {
            log_info(outcome.error().text());
        }
        if (job.timer)
            arm(id,
                std::min<std::chrono::milliseconds>(kAskAgain, std::chrono::seconds(job.every_s)));
    } else if (kept) {
        job.last_refusal.clear();
    }
    if (auto holder = std::exchange(job.holder, std::nullopt)) {
        holder->done(outcome ? fail("the hold of job " + std::to_string(id), "",
                                    "it was ended before it began")
                             : outcome.error());
    }
    job.moving.reset();
    if (auto mover = std::exchange(job.mover, std::nullopt)) mover->done(run->move_report());
    for (const auto& watcher : std::exchange(job.now, {})) watcher.done(outcome);
    for (const auto& then : std::exchange(job.idle, {})) then();
    if (committed) retire_old(id);

    Job& after = jobs_[id];  // the callbacks may have changed the map
    if (after.run || after.next.empty()) return;
    for (auto& watcher : std::exchange(after.next, {})) request(id, std::move(watcher));
}

void Lines::retire_old(std::uint32_t id) {
    if (!jobs_[id].held_off.empty()) return;  // a restore may be about to read one
    parts_.store.run(
        [id](Catalog& c) { return c.committed(id); },
        [this, id](const Result<std::vector<std::uint32_t>>& lines) {
            const auto hosts = parts_.hosts.connected();
            if (!lines || hosts.empty()) return;
            const std::size_t keep = parts_.config.coordinator.keep_lines;
            for (std::size_t i = 0; i + keep < lines->size(); ++i) {
                const LineId old{id, (*lines)[i]};
                hosts.front()->channel->request<Done>(
                    DeleteLine{old}, Milliseconds(parts_.config.deadlines.commit_ms),
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
    if ((job.run && job.run->kind() != LineKind::rehearsal) || !job.held_off.empty()) return;
    request(id, {{}, [](const Result<LineReport>&) {}});
}

void Lines::hold_off(std::uint32_t id, const std::string& why) {
    Job& job = jobs_[id];
    job.held_off = why;
    if (why.empty()) return;
    for (const auto& watcher : std::exchange(job.next, {})) watcher.done(put_off(id, why));
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
