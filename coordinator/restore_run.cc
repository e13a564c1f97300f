#include "coordinator/restore_run.h"

#include <algorithm>

#include "coordinator/program.h"
#include "grl/log.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kPoll{100};
constexpr Milliseconds kGrace{1000};

}  // namespace

RestoreRun::RestoreRun(Parts parts, Lines& lines, std::uint32_t job,
                       std::optional<std::uint32_t> line, Hooks hooks)
    : parts_(parts),
      lines_(lines),
      job_(job),
      line_(line),
      hooks_(std::move(hooks)),
      deadline_(parts.io),
      poll_(parts.io) {
    report_.job = job;
}

void RestoreRun::start() {
    began_ = stage_began_ = Steady::now();
    lines_.hold_off(job_, "the job is being restored");
    firing_ = true;
    enter();
    firing_ = false;
    settle();
}

void RestoreRun::abandon() {
    ++epoch_;
    deadline_.cancel();
    poll_.cancel();
    hooks_ = {};
}

// ---- events ----

void RestoreRun::fire(RestoreEvent event, const std::string& reason) {
    fired_.emplace_back(event, reason);
    settle();
}

void RestoreRun::refuse(const std::string& why, ErrorKind kind) {
    kind_ = kind;
    fire(RestoreEvent::failed, why);
}

void RestoreRun::settle() {
    if (firing_) return;
    const auto self = shared_from_this();
    firing_ = true;
    while (!fired_.empty()) {
        const auto [event, reason] = fired_.front();
        fired_.pop_front();
        const std::string stage = name_of(machine_.state());
        if (!machine_.take(event, reason.empty() ? reason : stage + ": " + reason)) continue;
        report_.stages.push_back(stage);
        report_.stage_ms.push_back(ms_since(stage_began_));
        stage_began_ = Steady::now();
        enter();
    }
    firing_ = false;
}

void RestoreRun::enter() {
    ++epoch_;
    awaited_.clear();
    deadline_.cancel();
    poll_.cancel();
    const RestoreStateRow& row = restore_state_row(machine_.state());
    report_.stage = name_of(row.state);
    if (row.limit) {
        const Milliseconds limit(parts_.config.deadlines.*row.limit);
        deadline_.expires_after(limit);
        deadline_.async_wait(
            [weak = weak_from_this(), epoch = epoch_, limit](const boost::system::error_code& ec) {
                auto self = weak.lock();
                if (ec || !self || self->epoch_ != epoch) return;
                std::string who;
                for (const std::string& name : self->awaited_)
                    who += (who.empty() ? "" : ", ") + name;
                self->fire(RestoreEvent::timeout, "not done within " +
                                                      std::to_string(limit.count()) + " ms" +
                                                      (who.empty() ? "" : "; waiting for ") + who);
            });
    }
    if (!machine_.over() && hooks_.progress) hooks_.progress(report_);
    act();
}

void RestoreRun::act() {
    switch (machine_.state()) {
        case RestoreState::wait:
            return wait();
        case RestoreState::check:
            return check();
        case RestoreState::fence:
            return fence();
        case RestoreState::destroy:
            return destroy();
        case RestoreState::place:
            return place();
        case RestoreState::restore:
            return restore();
        case RestoreState::raise:
            return raise();
        case RestoreState::resume:
            return resume();
        case RestoreState::rejoin:
            return rejoin();
        case RestoreState::clean:
            return clean();
        case RestoreState::done:
        case RestoreState::failed:
            return end();
    }
}

// ---- the stages ----

// A line whose images are on their way may be the one to go back to; any other is in the way.
void RestoreRun::wait() {
    if (auto run = lines_.of(job_)) {
        const LineState state = run->machine().state();
        if (state != LineState::images && state != LineState::manifest) {
            run->cancel("a restore was asked for");
        }
    }
    lines_.when_idle(job_, [weak = weak_from_this(), epoch = epoch_] {
        auto self = weak.lock();
        if (self && self->epoch_ == epoch) self->fire(RestoreEvent::ok);
    });
}

void RestoreRun::check() {
    struct Known {
        Manifest manifest;
        std::uint32_t generation;
        std::map<std::string, std::string> places;
    };
    auto work = [job = job_, line = line_](Catalog& c) -> Result<Known> {
        auto manifest = line ? c.manifest({job, *line}) : c.last_committed(job);
        if (!manifest) return manifest.error();
        auto generation = c.generation(job);
        if (!generation) return generation.error();
        auto places = c.places();
        if (!places) return places.error();
        return Known{std::move(*manifest), *generation, std::move(*places)};
    };
    parts_.store.run(work, [self = shared_from_this(), epoch = epoch_](Result<Known> known) {
        if (self->epoch_ != epoch) return;
        if (!known) return self->refuse(known.error().why, known.error().kind);
        self->manifest_ = std::move(known->manifest);
        self->places_ = std::move(known->places);
        self->generation_ = std::max(known->generation, self->manifest_.generation);
        self->report_.line = self->manifest_.line;
        for (const ManifestGuest& g : self->manifest_.guests) {
            GuestReport guest;
            guest.guest = g.name;
            guest.host = self->home(g);
            guest.method = g.method;
            guest.raw_bytes = g.raw_bytes;
            guest.stored_bytes = g.stored_bytes;
            self->report_.guests.push_back(std::move(guest));
        }
        self->parts_.slurm.look(self->job_, Milliseconds(self->parts_.config.deadlines.prepare_ms),
                                [self, epoch](const Result<JobFacts>& facts) {
                                    if (self->epoch_ != epoch) return;
                                    if (!facts) return self->refuse(facts.error().text());
                                    self->check_job(*facts);
                                });
    });
}

// Guests that Slurm has given to somebody else, or takes for free, must not become this job again.
void RestoreRun::check_job(const JobFacts& facts) {
    if (!facts.running) return refuse("Slurm says that the job is " + facts.state);
    if (!facts.sharing.empty()) return refuse(facts.sharing);
    for (const ManifestGuest& g : manifest_.guests) {
        if (std::find(facts.nodes.begin(), facts.nodes.end(), g.name) == facts.nodes.end()) {
            return refuse("the job does not have node " + g.name + " any more");
        }
    }
    fire(RestoreEvent::ok);
}

// A host that is away may come back any moment; only one that is lost is turned off. Whether there
// is room without it is asked before anything is turned off.
void RestoreRun::fence() {
    if (!lost_hosts(HostCondition::away).empty()) {
        poll_.expires_after(kPoll);
        poll_.async_wait(
            [self = shared_from_this(), epoch = epoch_](const boost::system::error_code& ec) {
                if (!ec && self->epoch_ == epoch) self->fence();
            });
        return;
    }
    if (auto plan = place_guests(needs(), room(), manifest_.driver); !plan) {
        return refuse(plan.error().why);
    }
    fence_hosts();
}

void RestoreRun::fence_hosts() {
    const auto lost = lost_hosts(HostCondition::lost);
    if (lost.empty()) return fire(RestoreEvent::ok);
    const std::string& program = parts_.config.coordinator.fence_program;
    if (program.empty()) {
        return refuse("host " + *lost.begin() +
                      " is lost and may still run guests of the job: set "
                      "coordinator.fence_program, or bring its bridge back");
    }
    awaited_ = lost;
    for (const std::string& host : lost) {
        log_info("fencing host " + host);
        run_program(
            parts_.io, {program, host}, Milliseconds(parts_.config.deadlines.fence_ms),
            [self = shared_from_this(), epoch = epoch_, host](const Result<void>& off) {
                if (off) {
                    self->parts_.hosts.mark_fenced(host);
                    self->parts_.store.note([host](Catalog& c) { return c.drop_places(host); });
                }
                if (self->epoch_ != epoch) return;
                if (!off) return self->refuse("host " + host + ": " + off.error().text());
                self->answered(host);
            });
    }
}

void RestoreRun::destroy() {
    for (Step* step : parts_.steps.of_job(job_)) {
        generation_ = std::max(generation_, step->generation);
    }
    parts_.steps.drop_job(job_, fail("serving a master", "", "its job is rolled back"));
    room_ = room();
    for (const ManifestGuest& g : manifest_.guests) places_[g.name] = home(g);
    for (const Host* host : parts_.hosts.connected()) destroy_on(*host);
    if (awaited_.empty()) fire(RestoreEvent::ok);
}

void RestoreRun::destroy_on(const Host& host) {
    DestroyGuests message;
    for (const GuestInfo& defined : host.inventory.guests) {
        for (const ManifestGuest& g : manifest_.guests) {
            if (g.name == defined.name) message.guests.push_back(g.name);
        }
    }
    if (!message.guests.empty()) ask<Done>(host.name, message, {});
}

void RestoreRun::place() {
    std::vector<PlacementHost> left;
    for (const PlacementHost& host : room_) {
        if (parts_.hosts.condition(host.name) == HostCondition::connected) left.push_back(host);
    }
    auto plan = place_guests(needs(), left, manifest_.driver);
    if (!plan) return refuse(plan.error().why);
    plan_ = std::move(*plan);
    for (GuestReport& g : report_.guests) g.host = plan_[g.guest];
    fire(RestoreEvent::ok);
}

void RestoreRun::restore() {
    for (const auto& [host, guests] : by_host()) {
        ask<RestoredGuests>(host, RestoreGuests{{job_, manifest_.line}, guests},
                            [this](const RestoredGuests& restored) {
                                for (const GuestRestored& r : restored.guests) {
                                    for (GuestReport& g : report_.guests) {
                                        if (g.guest == r.guest) g.durable = true;
                                    }
                                }
                                if (hooks_.progress) hooks_.progress(report_);
                            });
    }
}

void RestoreRun::raise() {
    parts_.store.run(
        [job = job_, known = generation_](Catalog& c) { return c.raise_generation(job, known); },
        [self = shared_from_this(), epoch = epoch_](const Result<std::uint32_t>& generation) {
            if (self->epoch_ != epoch) return;
            if (!generation) return self->fire(RestoreEvent::failed, generation.error().text());
            self->generation_ = self->report_.generation = *generation;
            self->fire(RestoreEvent::ok);
        });
}

void RestoreRun::resume() {
    for (const auto& [host, guests] : by_host()) ask<Done>(host, ResumeGuests{guests}, {});
}

void RestoreRun::rejoin() {
    if (step_nodes_ != 0 && rejoined_.size() >= step_nodes_) fire(RestoreEvent::ok);
}

void RestoreRun::master_joined(const std::shared_ptr<Channel>& channel, const StepState& state) {
    if (state.step != manifest_.step || rejoined_.count(state.node) != 0) return;
    auto& asked = released_[state.node];
    if (asked.lock() == channel) return;
    asked = channel;
    Release message;
    message.line = manifest_.line;
    message.attempt = manifest_.attempt;
    message.generation = generation_;
    message.now_ns = wall_ns();
    channel->request<Done>(
        message, Milliseconds(parts_.config.deadlines.release_ms),
        [weak = weak_from_this(), node = state.node,
         nodes = state.nodes](const Result<Done>& done) {
            auto self = weak.lock();
            if (!self) return;
            if (!done) {
                log_warning("releasing " + node + ": " + done.error().text());
                self->released_.erase(node);
                return;
            }
            log_info("node " + node + " has rejoined job " + std::to_string(self->job_));
            self->rejoined_.insert(node);
            self->step_nodes_ = nodes;
            if (self->machine_.state() == RestoreState::rejoin) self->rejoin();
        });
}

void RestoreRun::clean() {
    for (const Host* host : parts_.hosts.connected()) destroy_on(*host);
    parts_.steps.drop_job(job_, fail("serving a master", "", "its restore failed"));
    if (awaited_.empty()) fire(RestoreEvent::ok);
}

void RestoreRun::end() {
    const bool done = machine_.state() == RestoreState::done;
    report_.total_ms = ms_since(began_);
    report_.reason = machine_.reason();
    const std::string subject = "restore of job " + std::to_string(job_) +
                                (report_.line ? " to line " + std::to_string(report_.line) : "");
    Result<RestoreReport> outcome = report_;
    if (done) {
        log_info(subject + " is done, generation " + std::to_string(generation_));
    } else {
        outcome = fail(subject, "", machine_.reason(), kind_);
        log_warning(outcome.error().text());
    }
    parts_.store.note([job = job_, at = wall_ns(), body = to_json(report_)](Catalog& c) {
        return c.add_history(job, "restore", at, body);
    });
    lines_.hold_off(job_, "");
    asio::post(parts_.io, [self = shared_from_this(), outcome] {
        if (self->hooks_.ended) self->hooks_.ended(outcome);
    });
}

// ---- what happens meanwhile ----

void RestoreRun::host_away(const std::string& host, const std::string& why) {
    for (const auto& [guest, where] : plan_) {
        if (where != host) continue;
        return fire(RestoreEvent::host_lost, "host " + host + " is lost: " + why);
    }
}

void RestoreRun::guest_died(const std::string& guest, const std::string& reason) {
    const bool stands = machine_.state() == RestoreState::restore ||
                        machine_.state() == RestoreState::raise || machine_.takes_masters();
    if (!stands || plan_.count(guest) == 0) return;
    fire(RestoreEvent::failed, "guest " + guest + " died: " + reason);
}

std::uint64_t RestoreRun::reserves(const std::string& host) const {
    if (machine_.state() != RestoreState::restore) return 0;
    std::uint64_t mib = 0;
    for (const ManifestGuest& g : manifest_.guests) {
        auto it = plan_.find(g.name);
        if (it != plan_.end() && it->second == host) mib += g.memory_mib;
    }
    return mib;
}

JobReport RestoreRun::job_report() const {
    JobReport r;
    r.job = job_;
    r.step = manifest_.step;
    r.uid = manifest_.uid;
    r.generation = generation_;
    r.every_s = manifest_.every_s;
    r.ranks = manifest_.proof.ranks;
    r.state = "restoring";
    r.reason = "line " + std::to_string(report_.line) + ": " + report_.stage;
    for (const ManifestGuest& g : manifest_.guests) r.guests.push_back(g.name);
    return r;
}

// ---- small things ----

template <class Reply, class Message>
void RestoreRun::ask(const std::string& host, const Message& message,
                     std::function<void(const Reply&)> take) {
    awaited_.insert(host);
    const Host* h = parts_.hosts.find(host);
    if (!h || !h->channel) return fire(RestoreEvent::failed, "host " + host + " is away");
    const Milliseconds limit(parts_.config.deadlines.*restore_state_row(machine_.state()).limit);
    h->channel->request<Reply>(message, limit + kGrace,
                               [self = shared_from_this(), epoch = epoch_, host,
                                take = std::move(take)](Result<Reply> reply) {
                                   if (self->epoch_ != epoch) return;
                                   if (!reply) {
                                       return self->fire(
                                           RestoreEvent::failed,
                                           "host " + host + ": " + reply.error().text());
                                   }
                                   if (take) take(*reply);
                                   self->answered(host);
                               });
}

void RestoreRun::answered(const std::string& who) {
    awaited_.erase(who);
    if (awaited_.empty()) fire(RestoreEvent::ok);
}

std::string RestoreRun::home(const ManifestGuest& guest) const {
    const auto here = parts_.hosts.hosts_of(guest.name);
    if (!here.empty()) return here.front()->name;
    auto it = places_.find(guest.name);
    return it == places_.end() ? guest.host : it->second;
}

std::set<std::string> RestoreRun::lost_hosts(HostCondition condition) const {
    std::set<std::string> hosts;
    for (const ManifestGuest& g : manifest_.guests) {
        if (!parts_.hosts.hosts_of(g.name).empty()) continue;
        const std::string host = home(g);
        if (parts_.hosts.condition(host) == condition) hosts.insert(host);
    }
    return hosts;
}

std::vector<PlacementGuest> RestoreRun::needs() const {
    std::vector<PlacementGuest> guests;
    for (const ManifestGuest& g : manifest_.guests) {
        guests.push_back({g.name, home(g), g.memory_mib, g.definition_digest});
    }
    return guests;
}

// As it will be when the job's guests are gone.
std::vector<PlacementHost> RestoreRun::room() const {
    std::vector<PlacementHost> list;
    for (const Host* host : parts_.hosts.connected()) {
        PlacementHost room{host->name, host->inventory.memory_free_mib, host->inventory.driver, {}};
        for (const GuestInfo& g : host->inventory.guests) {
            room.definitions[g.name] = g.definition_digest;
            const bool ours = std::any_of(manifest_.guests.begin(), manifest_.guests.end(),
                                          [&](const ManifestGuest& m) { return m.name == g.name; });
            if (ours && g.state != GuestState::absent && g.state != GuestState::lost) {
                room.free_mib += g.memory_mib;
            }
        }
        const std::uint64_t taken = hooks_.reserved ? hooks_.reserved(host->name) : 0;
        room.free_mib -= std::min(room.free_mib, taken);
        list.push_back(std::move(room));
    }
    return list;
}

std::map<std::string, std::vector<std::string>> RestoreRun::by_host() const {
    std::map<std::string, std::vector<std::string>> hosts;
    for (const auto& [guest, host] : plan_) hosts[host].push_back(guest);
    return hosts;
}

}  // namespace grl::coordinator
