#include "coordinator/requests/control.h"

#include <algorithm>

#include "coordinator/engine/gather.h"
#include "coordinator/lines/fencing.h"
#include "coordinator/requests/status.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kBeatEvery{1000};
constexpr std::uint32_t kNobody = 65534;
constexpr std::size_t kPageBytes = 1U << 20;  // of a list; a frame holds four times that

bool may(const Peer& peer, std::uint32_t owner) {
    return peer.uid == 0 || peer.uid == owner;
}

Error denied(const std::string& what, const std::string& why) {
    return fail(what, "", why, ErrorKind::denied);
}

// The verb's question, or the asker gets the error.
template <class Question>
std::optional<Question> read(const json::object& body,
                             const std::shared_ptr<Channel::Responder>& asker) {
    auto question = from_json<Question>(body, Question::kType);
    if (question) return std::move(*question);
    asker->error(question.error());
    return std::nullopt;
}

}  // namespace

Control::Control(Parts parts, Lines& lines, Holds& holds, Restores& restores, Moves& moves)
    : parts_(parts),
      lines_(lines),
      holds_(holds),
      restores_(restores),
      moves_(moves),
      beat_(parts.io) {
    beat();
}

const std::map<std::string, Control::Verb>& Control::verbs() {
    static const std::map<std::string, Verb> table = {
        {StatusQuery::kType, &Control::status},     {CheckpointJob::kType, &Control::checkpoint},
        {ListQuery::kType, &Control::list},         {ShowQuery::kType, &Control::show},
        {RestoreJob::kType, &Control::restore},     {VerifyQuery::kType, &Control::verify},
        {DeleteQuery::kType, &Control::remove},     {StartQuery::kType, &Control::start},
        {StopQuery::kType, &Control::stop},         {HoldJob::kType, &Control::hold},
        {LetGoJob::kType, &Control::let_go},        {MoveQuery::kType, &Control::migrate},
        {EvacuateQuery::kType, &Control::evacuate}, {ReopenQuery::kType, &Control::reopen},
        {HistoryQuery::kType, &Control::history},   {FenceQuery::kType, &Control::fence},
    };
    return table;
}

void Control::accept(std::shared_ptr<Channel> channel, const Peer& asking) {
    Peer peer = asking;
    // Root in a guest is root of that guest, not of the cluster.
    if (peer.uid == 0 && parts_.hosts.is_guest_address(peer.address)) peer.uid = kNobody;
    channel->set_handlers({
        .event = {},
        .request =
            [this, peer](const std::string& type, const json::object& body,
                         Channel::Responder responder) {
                auto verb = verbs().find(type);
                if (verb == verbs().end()) {
                    return responder.error(
                        fail("serving grlctl", "", "unknown request " + type, ErrorKind::protocol));
                }
                auto asker = std::make_shared<Channel::Responder>(std::move(responder));
                waiting_.push_back(asker);
                (this->*verb->second)(peer, body, std::move(asker));
            },
        .closed = {},
    });
    channel->start();
}

void Control::beat() {
    beat_.expires_after(kBeatEvery);
    beat_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        std::erase_if(waiting_, [](const auto& weak) { return weak.expired(); });
        for (const auto& weak : waiting_) {
            if (auto asker = weak.lock(); asker && asker->open()) asker->progress(Heartbeat{});
        }
        beat();
    });
}

// ---- the verbs ----

void Control::status(const Peer&, const json::object&, Asker asker) {
    parts_.store.run([](Catalog& c) { return c.last_lines(); },
                     [this, asker](const Result<std::map<std::uint32_t, LastLine>>& last) {
                         if (!last) return asker->error(last.error());
                         asker->reply(status_report(parts_, lines_, restores_, *last));
                     });
}

void Control::checkpoint(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<CheckpointJob>(body, asker);
    if (!question || !may_line(peer, question->job, asker)) return;
    log_info("uid " + std::to_string(peer.uid) + " asks for a line of job " +
             std::to_string(question->job));
    Watcher<LineReport> watcher{
        [asker](const LineReport& report) { asker->progress(report); },
        [asker](const Result<LineReport>& outcome) { asker->result(outcome); }};
    if (question->rehearsal)
        lines_.rehearse(question->job, std::move(watcher));
    else
        lines_.request(question->job, std::move(watcher));
}

bool Control::may_line(const Peer& peer, std::uint32_t job, const Asker& asker) const {
    for (const Step* step : parts_.steps.of_job(job)) {
        if (may(peer, step->uid)) continue;
        asker->error(denied("a line of job " + std::to_string(job), "it is another user's job"));
        return false;
    }
    return true;
}

void Control::hold(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<HoldJob>(body, asker);
    if (!question || !may_line(peer, question->job, asker)) return;
    log_info("uid " + std::to_string(peer.uid) + " holds job " + std::to_string(question->job));
    holds_.hold(*question, {[asker](const HeldJob& so_far) { asker->progress(so_far.report); },
                            [asker](const Result<HeldJob>& held) { asker->result(held); }});
}

void Control::let_go(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<LetGoJob>(body, asker);
    if (!question || !may_line(peer, question->job, asker)) return;
    log_info("uid " + std::to_string(peer.uid) + " lets job " + std::to_string(question->job) +
             " go on");
    holds_.let_go(question->job,
                  {[asker](const LineReport& report) { asker->progress(report); },
                   [asker](const Result<LineReport>& outcome) { asker->result(outcome); }});
}

void Control::list(const Peer&, const json::object& body, Asker asker) {
    auto question = read<ListQuery>(body, asker);
    if (!question) return;
    const LineId after = question->after.value_or(LineId{});
    parts_.store.run(
        [job = question->job, after](Catalog& c) { return c.reports(job, after, kPageBytes); },
        [asker](const Result<Catalog::Page>& page) {
            if (!page) return asker->error(page.error());
            asker->reply(LineReports{page->reports, page->more});
        });
}

void Control::show(const Peer&, const json::object& body, Asker asker) {
    auto question = read<ShowQuery>(body, asker);
    if (!question) return;
    auto work = [id = question->id](Catalog& c) -> Result<ShownLine> {
        auto report = c.report(id);
        if (!report) return report.error();
        auto manifest = c.manifest(id);
        if (!manifest) return ShownLine{{}, *report};
        return ShownLine{to_json(*manifest).as_object(), *report};
    };
    parts_.store.run(work, [asker](const Result<ShownLine>& shown) { asker->result(shown); });
}

void Control::restore(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<RestoreJob>(body, asker);
    if (!question) return;
    auto work = [q = *question](Catalog& c) {
        return q.line ? c.manifest({q.job, *q.line}) : c.last_committed(q.job);
    };
    parts_.store.run(work, [this, peer, q = *question, asker](const Result<Manifest>& manifest) {
        // A job whose first line is being committed has none yet; the restore waits for it.
        const bool none = !manifest && manifest.error().kind == ErrorKind::not_found;
        if (!manifest && !(none && !q.line && lines_.of(q.job))) {
            return asker->error(manifest.error());
        }
        // The memory is whose the line is, whoever runs a job of that number today.
        std::uint32_t owner = manifest ? manifest->uid : 0;
        if (!manifest) {
            for (const Step* step : parts_.steps.of_job(q.job)) owner = step->uid;
        }
        if (!may(peer, owner)) {
            return asker->error(
                denied("restore of job " + std::to_string(q.job), "it is another user's job"));
        }
        log_info("uid " + std::to_string(peer.uid) + " asks to restore job " +
                 std::to_string(q.job));
        const OtherLife other = !q.into_other_life.value_or(false) ? OtherLife::refused
                                : peer.uid == 0                    ? OtherLife::any
                                                                   : OtherLife::own;
        restores_.request(
            q.job, q.line,
            {[asker](const RestoreReport& report) { asker->progress(report); },
             [asker](const Result<RestoreReport>& outcome) { asker->result(outcome); }},
            other);
    });
}

void Control::with_line(const Peer& peer, LineId id, Asker asker,
                        std::function<void(const std::shared_ptr<Channel>&)> then) {
    parts_.store.run(
        [id](Catalog& c) { return c.manifest(id); },
        [this, peer, id, asker, then = std::move(then)](const Result<Manifest>& manifest) {
            const std::string what =
                "line " + std::to_string(id.job) + "/" + std::to_string(id.line);
            if (!manifest) return asker->error(manifest.error());
            if (!may(peer, manifest->uid)) {
                return asker->error(denied(what, "it is another user's job"));
            }
            const auto hosts = parts_.hosts.with_store();
            if (hosts.empty()) {
                return asker->error(
                    fail(what, "", "no bridge that sees the checkpoint directory is connected",
                         ErrorKind::refused));
            }
            then(hosts.front()->channel);
        });
}

void Control::verify(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<VerifyQuery>(body, asker);
    if (!question) return;
    const LineId id = question->id;
    with_line(peer, id, asker, [this, id, asker](const std::shared_ptr<Channel>& bridge) {
        bridge->request<VerifiedLine>(
            VerifyLine{id}, Milliseconds(parts_.config.deadlines.commit_ms),
            [asker](const Result<VerifiedLine>& verified) { asker->result(verified); });
    });
}

void Control::remove(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<DeleteQuery>(body, asker);
    if (!question) return;
    const LineId id = question->id;
    if (restores_.of(id.job)) {
        return asker->error(
            fail("deleting a line", "", "the job is being restored", ErrorKind::refused));
    }
    if (const auto run = lines_.of(id.job); run && run->id().line == id.line && run->has_files()) {
        return asker->error(fail("deleting a line", "",
                                 run->line_stands() ? "the job is held with it" : "it is under way",
                                 ErrorKind::refused));
    }
    with_line(peer, id, asker, [this, id, asker](const std::shared_ptr<Channel>& bridge) {
        bridge->request<Done>(DeleteLine{id, parts_.hosts.store()},
                              Milliseconds(parts_.config.deadlines.commit_ms),
                              [this, id, asker](const Result<Done>& deleted) {
                                  if (!deleted) return asker->error(deleted.error());
                                  parts_.store.run([id](Catalog& c) { return c.remove_line(id); },
                                                   [asker](const Result<void>& removed) {
                                                       if (!removed)
                                                           return asker->error(removed.error());
                                                       asker->reply(Done{});
                                                   });
                              });
    });
}

void Control::start(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<StartQuery>(body, asker);
    if (!question) return;
    if (peer.uid != 0) {
        return asker->error(denied("starting guest " + question->guest, "only root may"));
    }
    // The catalog's answer is as of now: where guests are is noted in the order in which it is
    // heard.
    auto work = [guest = question->guest](Catalog& c) -> Result<Suspects> {
        auto known = c.knows_places();
        if (!known) return known.error();
        auto suspects = c.suspects();
        if (!suspects) return suspects.error();
        return Suspects{*known, (*suspects)[guest]};
    };
    parts_.store.run(work, [this, q = *question, asker](const Result<Suspects>& suspects) {
        if (!suspects) return asker->error(suspects.error());
        if (auto why = start_obstacle(q, *suspects)) return asker->error(*why);
        begin_start(q, asker);
    });
}

std::optional<Error> Control::start_obstacle(const StartQuery& q,
                                             const Suspects& by_catalog) const {
    auto no = [&](const std::string& why, ErrorKind kind = ErrorKind::refused) {
        return fail("starting guest " + q.guest, "", why, kind);
    };
    const auto here = parts_.hosts.hosts_of(q.guest);
    if (!here.empty()) return no("it is on " + here.front()->name + " already");
    const auto starting = parts_.hosts.starting().find(q.guest);
    if (starting != parts_.hosts.starting().end()) {
        return no("it is being started on " + starting->second);
    }
    if (moves_.is_under_way(q.guest)) return no("it is on its way to another host");
    for (const auto& [job, run] : restores_.all()) {
        const auto guests = run->job_report().guests;
        // One that has not read its line yet may be any guest's.
        if (guests.empty() || std::ranges::count(guests, q.guest) != 0) {
            return no("job " + std::to_string(job) + " is being restored");
        }
    }
    const Host* host = parts_.hosts.find(q.host);
    if (!host || !host->connected()) {
        return no("no host " + q.host + " is connected", ErrorKind::not_found);
    }
    std::set<std::string> suspects = parts_.hosts.may_run_on(q.guest);
    suspects.insert(by_catalog.hosts.begin(), by_catalog.hosts.end());
    for (const std::string& name : suspects) {
        switch (parts_.hosts.condition(name)) {
            case HostCondition::connected:
            case HostCondition::fenced:
                break;
            case HostCondition::away:
                return no("host " + name +
                          " is away and may still run it: ask again when it is back or lost");
            case HostCondition::lost:
                return no("host " + name +
                          " is lost and may still run it: bring its bridge back, "
                          "or turn it off: grlctl fence " +
                          name);
        }
    }
    if (!by_catalog.known) {
        return no(
            "the catalog is new, and no bridge has read yet from the checkpoint directory "
            "where guests were: ask again when one has");
    }
    return std::nullopt;
}

// Its place stands in the catalog before anything is sent: the next coordinator must know of it.
void Control::begin_start(const StartQuery& q, Asker asker) {
    parts_.hosts.begin_start(q.guest, q.host);
    auto end = [this, q, asker](const Result<Done>& outcome) {
        parts_.hosts.end_start(q.guest);
        asker->result(outcome);
    };
    parts_.store.run([q](Catalog& c) { return c.put_place(q.guest, q.host); },
                     [this, q, end](const Result<void>& noted) {
                         if (!noted) return end(noted.error());
                         const Host* host = parts_.hosts.find(q.host);
                         if (!host || !host->connected()) {
                             return end(fail("starting guest " + q.guest, "",
                                             "host " + q.host + " is away", ErrorKind::refused));
                         }
                         host->channel->request<Done>(
                             StartGuest{q.guest}, Milliseconds(parts_.config.deadlines.restore_ms),
                             end);
                     });
}

void Control::fence(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<FenceQuery>(body, asker);
    if (!question) return;
    const std::string what = "fencing host " + question->host;
    if (peer.uid != 0) return asker->error(denied(what, "only root may"));
    auto work = [host = question->host](Catalog& c) -> Result<bool> {
        auto suspects = c.suspects();
        if (!suspects) return suspects.error();
        return std::ranges::any_of(*suspects,
                                   [&](const auto& s) { return s.second.count(host) != 0; });
    };
    parts_.store.run(work, [this, q = *question, what, asker](const Result<bool>& known) {
        auto no = [&](const std::string& why, ErrorKind kind = ErrorKind::refused) {
            asker->error(fail(what, "", why, kind));
        };
        if (!known) return asker->error(known.error());
        if (!*known && !parts_.hosts.find(q.host)) {
            return no("no such host is known", ErrorKind::not_found);
        }
        switch (parts_.hosts.condition(q.host)) {
            case HostCondition::connected:
                return no("it is connected: grlctl evacuate it, and stop its bridge");
            case HostCondition::away:
                return no("it is away, and not lost yet: ask again");
            case HostCondition::fenced:
                return asker->reply(Done{});
            case HostCondition::lost:
                break;
        }
        log_info("root " + std::string(q.off ? "says that" : "fences") + " host " + q.host +
                 (q.off ? " is off" : ""));
        if (q.off) {
            host_is_off(parts_.hosts, parts_.store, q.host);
            return asker->reply(Done{});
        }
        if (parts_.config.coordinator.fence_program.empty()) {
            return no("set coordinator.fence_program; or turn it off and say so: grlctl fence " +
                      q.host + " --off");
        }
        fence_host(parts_, q.host, [asker](const Result<void>& off) {
            if (!off) return asker->error(off.error());
            asker->reply(Done{});
        });
    });
}

void Control::stop(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<StopQuery>(body, asker);
    if (!question) return;
    const std::string what = "stopping guest " + question->guest;
    if (peer.uid != 0) return asker->error(denied(what, "only root may"));
    auto here = parts_.hosts.hosts_of(question->guest);
    if (!question->host.empty()) {
        std::erase_if(here, [&](const Host* host) { return host->name != question->host; });
    } else if (const auto homes = parts_.hosts.homes_of(question->guest); homes.size() > 1) {
        return asker->error(fail(what, "",
                                 "it is on " + homes[0]->name + " and on " + homes[1]->name +
                                     ": say on which it is to be stopped",
                                 ErrorKind::refused));
    }
    if (here.empty()) {
        return asker->error(fail(what, "",
                                 question->host.empty() ? "it runs on no connected host"
                                                        : "it is not on " + question->host,
                                 ErrorKind::not_found));
    }
    // A move that was broken off may have left something of it on two.
    Gather<Result<Done>> gather(Done{}, [asker](auto& outcome) { asker->result(outcome); });
    for (const Host* host : here) {
        host->channel->request<Done>(
            DestroyGuests{{question->guest}}, Milliseconds(parts_.config.deadlines.fence_ms),
            gather.one([](Result<Done>& outcome, const Result<Done>& done) {
                if (!done) outcome = done;
            }));
    }
    gather.all_asked();
}

// ---- moves ----

void Control::migrate(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<MoveQuery>(body, asker);
    if (!question) return;
    if (peer.uid != 0) {
        return asker->error(denied("moving guest " + question->guest, "only root may"));
    }
    moves_.move(question->guest, question->host, "grlctl",
                {[asker](const MoveReport& report) { asker->progress(report); },
                 [asker](const Result<MoveReport>& outcome) {
                     if (outcome && outcome->line.phase != Phase::done) {
                         return asker->error(fail("moving guest " + outcome->guest, "",
                                                  "it stays: " + outcome->line.reason));
                     }
                     asker->result(outcome);
                 }});
}

void Control::evacuate(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<EvacuateQuery>(body, asker);
    if (!question) return;
    const std::string& host = question->host;
    if (peer.uid != 0) return asker->error(denied("evacuating host " + host, "only root may"));
    moves_.evacuate(
        host, "evacuation of " + host,
        [asker](const MoveReport& report) { asker->progress(report); },
        [asker](const Result<MoveReports>& outcome) { asker->result(outcome); });
}

void Control::reopen(const Peer& peer, const json::object& body, Asker asker) {
    auto question = read<ReopenQuery>(body, asker);
    if (!question) return;
    if (peer.uid != 0) {
        return asker->error(denied("opening host " + question->host, "only root may"));
    }
    moves_.reopen(question->host, [asker](const Result<Done>& done) { asker->result(done); });
}

void Control::history(const Peer&, const json::object& body, Asker asker) {
    auto question = read<HistoryQuery>(body, asker);
    if (!question) return;
    parts_.store.run([count = question->count](Catalog& c) { return c.moves(count); },
                     [asker](const Result<std::vector<MoveReport>>& moves) {
                         if (!moves) return asker->error(moves.error());
                         // The newest that fit into a frame.
                         MoveReports reply;
                         std::size_t bytes = 0;
                         for (auto m = moves->rbegin(); m != moves->rend(); ++m) {
                             bytes += json::serialize(to_json(*m)).size();
                             if (bytes > 3 * kPageBytes) break;
                             reply.moves.push_back(*m);
                         }
                         std::ranges::reverse(reply.moves);
                         asker->reply(reply);
                     });
}

}  // namespace grl::coordinator
