// What a restore does in each stage, in the order of the stages.
#include <algorithm>
#include <ctime>

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
constexpr const char* kWhy = "a restore was asked for";

std::string time_text(std::int64_t epoch_s) {
    const auto at = static_cast<std::time_t>(epoch_s);
    std::tm local{};
    localtime_r(&at, &local);
    char text[32];
    return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local)};
}
}  // namespace

template <class Reply, class Message>
void RestoreRun::ask_host(const std::string& host, const Message& message,
                          std::function<void(const Reply&)> take) {
    const Host* h = parts_.hosts.find(host);
    if (!h || !h->channel) {
        await(host);
        return failed("host " + host + " is away");
    }
    ask<Reply>(host, h->channel, message, std::move(take));
}

// A line whose images are on their way may be the one to go back to; any other is in the way. A
// hold that has kept its line is not: its guests go on standing still until they are destroyed.
void RestoreRun::wait() {
    const auto run = lines_.of(job_);
    const Yielding yielding = run ? run->yield(kWhy) : Yielding::at_end;
    if (yielding == Yielding::now) return all_answered();
    if (yielding == Yielding::ask_again) return again([this] { wait(); });
    lines_.when_idle(job_, here([this] { all_answered(); }));
}

void RestoreRun::again(std::function<void()> look) {
    poll_.expires_after(kPoll);
    poll_.async_wait(here([look = std::move(look)](const boost::system::error_code& ec) {
        if (!ec) look();
    }));
}

void RestoreRun::check() {
    struct Known {
        Manifest manifest;
        std::uint32_t generation;
        std::map<std::string, std::string> places;
        std::map<std::string, std::set<std::string>> suspects;
    };
    auto work = [job = job_, line = line_, before = before_](Catalog& c) -> Result<Known> {
        auto manifest = line     ? c.manifest({job, *line})
                        : before ? c.last_committed_before({job, before})
                                 : c.last_committed(job);
        if (!manifest) return manifest.error();
        auto generation = c.generation(job);
        if (!generation) return generation.error();
        auto places = c.places();
        if (!places) return places.error();
        auto suspects = c.suspects();
        if (!suspects) return suspects.error();
        return Known{std::move(*manifest), *generation, std::move(*places), std::move(*suspects)};
    };
    parts_.store.run(work, here([this](Result<Known> known) {
                         if (!known) return no_line(known.error());
                         places_ = std::move(known->places);
                         suspects_ = std::move(known->suspects);
                         generation_ = std::max(known->generation, known->manifest.generation);
                         check_manifest(std::move(known->manifest));
                     }));
}

void RestoreRun::check_manifest(Manifest manifest) {
    manifest_ = std::move(manifest);
    report_.line = manifest_.line;
    report_.guests.clear();
    for (const ManifestGuest& g : manifest_.guests) {
        GuestReport guest;
        guest.guest = g.name;
        guest.host = home(g);
        guest.method = g.method;
        guest.raw_bytes = g.raw_bytes;
        guest.stored_bytes = g.stored_bytes;
        report_.guests.push_back(std::move(guest));
    }
    parts_.slurm.look(job_, Milliseconds(deadlines_.prepare_ms),
                      here([this](const Result<JobFacts>& facts) {
                          if (!facts) return refuse(facts.error().text());
                          check_job(*facts);
                      }));
}

// Slurm uses a number again, and a requeued job keeps its own: memory of the one life must not be
// laid over the other without being asked to, and over another user's job only by root. A manifest
// of an older release does not say which life it is of: it is taken for this one if it is the same
// user's, as it would else be worth nothing, and the asker is told.
std::string RestoreRun::other_life(const JobFacts& facts) {
    const std::string line = "line " + std::to_string(manifest_.line);
    const std::string remedy = " (--into-other-life goes back to it all the same)";
    if (manifest_.uid != facts.uid) {
        const std::string why = line + " is of user " + std::to_string(manifest_.uid) +
                                ", and the job now is user " + std::to_string(facts.uid) + "'s";
        if (other_life_ != OtherLife::any) return why + ", which only root may ignore" + remedy;
        report_.notes.push_back(why);
        return {};
    }
    if (!manifest_.life) {
        report_.notes.push_back(line + " does not say which life of the job it is of");
        return {};
    }
    std::string why = line + " is of another life of the job: ";
    const JobLife &then = *manifest_.life, &now = facts.life;
    if (then.submitted_at_s != now.submitted_at_s) {
        why += "that was submitted at " + time_text(then.submitted_at_s) + ", this one at " +
               time_text(now.submitted_at_s);
    } else if (then.restarts != now.restarts) {
        why += "it had been restarted " + std::to_string(then.restarts) + " times, and now " +
               std::to_string(now.restarts);
    } else if (then.started_at_s != now.started_at_s) {
        why += "that was started at " + time_text(then.started_at_s) + ", this one at " +
               time_text(now.started_at_s);
    } else {
        return {};
    }
    if (other_life_ == OtherLife::refused) return why + remedy;
    report_.notes.push_back(why);
    return {};
}

// Guests that Slurm has given to somebody else, or takes for free, must not become this job again.
void RestoreRun::check_job(const JobFacts& facts) {
    if (!facts.running) return refuse("Slurm says that the job is " + facts.state);
    if (const std::string why = other_life(facts); !why.empty()) return refuse(why);
    if (!facts.sharing.empty()) return refuse(facts.sharing);
    for (const ManifestGuest& g : manifest_.guests) {
        if (std::find(facts.nodes.begin(), facts.nodes.end(), g.name) == facts.nodes.end()) {
            return refuse("the job does not have node " + g.name + " any more");
        }
    }
    all_answered();
}

void RestoreRun::place() {
    std::set<std::string> ours;
    for (const ManifestGuest& g : manifest_.guests) ours.insert(g.name);
    auto offers = parts_.room.offers(owner(), ours);
    std::erase_if(offers, [this](const PlacementHost& offer) {
        const Host* host = parts_.hosts.find(offer.name);
        return !host || !parts_.hosts.sees_store(*host);  // it could load nothing
    });
    auto plan = place_guests(needs(), offers, manifest_.driver);
    if (!plan) return refuse(plan.error().why);
    plan_ = std::move(*plan);
    parts_.room.take(owner(), plan_);
    for (GuestReport& g : report_.guests) g.host = plan_[g.guest];
    all_answered();
}

// By those who will load them, on the storage that they will load them from.
void RestoreRun::verify() {
    damage_.clear();
    for (const auto& [host, guests] : by_host()) {
        CheckRestore message{{job_, manifest_.line}, guests, {}};
        for (const ManifestGuest& g : manifest_.guests) message.leaving.push_back(g.name);
        ask_host<VerifiedLine>(host, message,
                               [this](const VerifiedLine& checked) { verified(checked); });
    }
}

void RestoreRun::verified(const VerifiedLine& checked) {
    for (const GuestVerified& g : checked.guests) {
        if (!g.good) damage_ += (damage_.empty() ? "" : "; ") + g.guest + ": " + g.reason;
    }
    if (awaited() == 1 && !damage_.empty()) judge();
}

// Only what no host could do is a reason to go further back: an image that is damaged stays so.
void RestoreRun::judge() {
    const std::string line = "line " + std::to_string(manifest_.line);
    if (line_) return refuse(line + " cannot be restored: " + damage_);
    report_.notes.push_back(line + " was passed over: " + damage_);
    log_warning("restore of job " + std::to_string(job_) + ": " + report_.notes.back());
    before_ = manifest_.line;
    plan_.clear();
    parts_.room.free(owner());
    fire(RestoreEvent::damaged);
}

// None, or none any more: then every one of them was found damaged.
void RestoreRun::no_line(const Error& error) {
    if (before_ == 0 || error.kind != ErrorKind::not_found) return refuse(error.why, error.kind);
    std::string why = "no line of the job can be restored";
    for (const std::string& note : report_.notes) why += "; " + note;
    refuse(why);
}

// Masters may know of a higher one than the catalog.
void RestoreRun::raise() {
    for (Step* step : parts_.steps.of_job(job_)) {
        generation_ = std::max(generation_, step->generation);
    }
    parts_.store.run(
        [job = job_, known = generation_, line = manifest_.line](Catalog& c) {
            return c.raise_generation(job, known, line);
        },
        here([this](const Result<std::uint32_t>& generation) {
            if (!generation) return failed(generation.error().text());
            generation_ = report_.generation = *generation;
            all_answered();
        }));
}

void RestoreRun::destroy() {
    if (gone_meanwhile()) return;
    // Only now: a restore that is refused leaves the job held.
    if (auto run = lines_.of(job_)) run->hand_over(kWhy);
    lines_.when_idle(job_, here([this] { destroy_all(); }));
}

void RestoreRun::destroy_all() {
    if (gone_meanwhile()) return;
    parts_.steps.drop_job(job_, fail("serving a master", "", "its job is rolled back"));
    for (const Host* host : parts_.hosts.connected()) destroy_on(*host);
    all_asked();
}

void RestoreRun::destroy_on(const Host& host) {
    DestroyGuests message;
    for (const GuestInfo& defined : host.inventory.guests) {
        for (const ManifestGuest& g : manifest_.guests) {
            if (g.name == defined.name) message.guests.push_back(g.name);
        }
    }
    if (!message.guests.empty()) ask_host<Done>(host.name, message);
}

void RestoreRun::restore() {
    for (const auto& [host, guests] : by_host()) {
        ask_host<RestoredGuests>(
            host, RestoreGuests{{job_, manifest_.line}, guests},
            [this](const RestoredGuests& restored) { note_restored(restored); });
    }
}

void RestoreRun::note_restored(const RestoredGuests& restored) {
    for (const GuestRestored& r : restored.guests) {
        for (GuestReport& g : report_.guests) {
            if (g.guest == r.guest) g.durable = true;
        }
    }
    if (hooks_.progress) hooks_.progress(report_);
}

void RestoreRun::resume() {
    for (const auto& [host, guests] : by_host()) ask_host<Done>(host, ResumeGuests{guests});
}

void RestoreRun::clean() {
    for (const Host* host : parts_.hosts.connected()) destroy_on(*host);
    parts_.steps.drop_job(job_, fail("serving a master", "", "its restore failed"));
    all_asked();
}

}  // namespace grl::coordinator
