// What a restore does in each stage, in the order of the stages.
#include <algorithm>

#include "coordinator/engine/program.h"
#include "coordinator/restore/run.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kPoll{100};
constexpr Milliseconds kGrace{1000};

}  // namespace

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

// A line whose images are on their way may be the one to go back to; any other is in the way. A
// hold that has kept its line is not: its guests go on standing still until they are destroyed.
void RestoreRun::wait() {
    if (auto run = lines_.of(job_)) {
        const LineState state = run->machine().state();
        if (state == LineState::hold && run->line_stands()) return fire(RestoreEvent::ok);
        if (state == LineState::hold_images || state == LineState::hold_manifest) {
            return again([this] { wait(); });
        }
        if (state != LineState::images && state != LineState::manifest) {
            run->cancel("a restore was asked for");
        }
    }
    lines_.when_idle(job_, [weak = weak_from_this(), epoch = epoch_] {
        auto self = weak.lock();
        if (self && self->epoch_ == epoch) self->fire(RestoreEvent::ok);
    });
}

void RestoreRun::again(std::function<void()> look) {
    poll_.expires_after(kPoll);
    poll_.async_wait([self = shared_from_this(), epoch = epoch_,
                      look = std::move(look)](const boost::system::error_code& ec) {
        if (!ec && self->epoch_ == epoch) look();
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

// A host that has died without a word still counts as connected. So all are asked for a sign of
// life first; who does not give one is away when hosts.h says so.
void RestoreRun::fence() {
    for (const Host* host : parts_.hosts.connected()) {
        awaited_.insert(host->name);
        host->channel->request_raw(Heartbeat::kType, {},
                                   3 * Milliseconds(parts_.config.deadlines.bridge_lost_ms),
                                   [self = shared_from_this(), epoch = epoch_,
                                    name = host->name](const Result<json::object>&) {
                                       if (self->epoch_ != epoch) return;
                                       self->awaited_.erase(name);
                                       if (self->awaited_.empty()) self->fence_lost();
                                   });
    }
    if (awaited_.empty()) fence_lost();
}

// A host that is away may come back any moment; only one that is lost is turned off. Whether there
// is room without it is asked before anything is turned off.
void RestoreRun::fence_lost() {
    if (!lost_hosts(HostCondition::away).empty()) {
        return again([this] { fence_lost(); });
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
    arm(Milliseconds(parts_.config.deadlines.fence_ms) + kGrace);
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
    if (gone_meanwhile()) return;
    // Only now: a restore that is refused leaves the job held.
    if (auto run = lines_.of(job_)) run->hand_over();
    lines_.when_idle(job_, [weak = weak_from_this(), epoch = epoch_] {
        auto self = weak.lock();
        if (self && self->epoch_ == epoch) self->destroy_all();
    });
}

// A host may have gone while others were turned off, or a line ended; its guest may run there
// still.
bool RestoreRun::gone_meanwhile() {
    for (HostCondition condition : {HostCondition::away, HostCondition::lost}) {
        const auto hosts = lost_hosts(condition);
        if (hosts.empty()) continue;
        refuse("host " + *hosts.begin() + " went away meanwhile; ask again");
        return true;
    }
    return false;
}

void RestoreRun::destroy_all() {
    if (gone_meanwhile()) return;
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
    for (const auto& [channel, state] : std::exchange(waiting_, {})) master_joined(channel, state);
    if (step_nodes_ != 0 && rejoined_.size() >= step_nodes_) fire(RestoreEvent::ok);
}

void RestoreRun::master_joined(const std::shared_ptr<Channel>& channel, const StepState& state) {
    if (state.step != manifest_.step || rejoined_.count(state.node) != 0) return;
    if (machine_.state() == RestoreState::resume) {
        waiting_.emplace_back(channel, state);
        return;
    }
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

}  // namespace grl::coordinator
