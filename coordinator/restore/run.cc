#include "coordinator/restore/run.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

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
        Milliseconds limit(parts_.config.deadlines.*row.limit);
        // Until a host that does not answer is known to be lost; then the program has its time.
        if (row.state == RestoreState::fence) {
            limit += 4 * Milliseconds(parts_.config.deadlines.bridge_lost_ms);
        }
        arm(limit);
    }
    if (!machine_.over() && hooks_.progress) hooks_.progress(report_);
    act();
}

void RestoreRun::arm(Milliseconds limit) {
    deadline_.expires_after(limit);
    deadline_.async_wait([weak = weak_from_this(), epoch = epoch_,
                          limit](const boost::system::error_code& ec) {
        auto self = weak.lock();
        if (ec || !self || self->epoch_ != epoch) return;
        std::string who;
        for (const std::string& name : self->awaited_) who += (who.empty() ? "" : ", ") + name;
        self->fire(RestoreEvent::timeout, "not done within " + std::to_string(limit.count()) +
                                              " ms" + (who.empty() ? "" : "; waiting for ") + who);
    });
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

PlacementRoom RestoreRun::reserves(const std::string& host) const {
    PlacementRoom room;
    if (machine_.state() != RestoreState::restore) return room;
    const auto at = std::ranges::find(room_, host, &PlacementHost::name);
    for (const ManifestGuest& g : manifest_.guests) {
        auto it = plan_.find(g.name);
        if (it == plan_.end() || it->second != host) continue;
        room.mib += g.memory_mib;
        if (at == room_.end()) continue;
        const auto definition = at->definitions.find(g.name);
        if (definition != at->definitions.end()) room.adapters += definition->second.adapters;
    }
    return room;
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

}  // namespace grl::coordinator
