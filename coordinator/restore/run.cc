#include "coordinator/restore/run.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

RestoreRun::RestoreRun(Parts parts, Lines& lines, std::uint32_t job,
                       std::optional<std::uint32_t> line, OtherLife other_life, Hooks hooks)
    : TableRun(restore_table(), parts.config.deadlines, parts.io),
      parts_(parts),
      lines_(lines),
      job_(job),
      line_(line),
      other_life_(other_life),
      hooks_(std::move(hooks)),
      poll_(parts.io) {
    report_.job = job;
}

void RestoreRun::start() {
    began_ = stage_began_ = Steady::now();
    lines_.hold_off(job_, "the job is being restored");
    TableRun::start();
}

void RestoreRun::abandon() {
    TableRun::abandon();
    parts_.room.free(owner());
    poll_.cancel();
    hooks_ = {};
}

// ---- events ----

void RestoreRun::left(RestoreState state) {
    report_.stages.push_back(name_of(state));
    report_.stage_ms.push_back(ms_since(stage_began_));
    stage_began_ = Steady::now();
}

void RestoreRun::entered() {
    poll_.cancel();
    report_.stage = name_of(state());
    if (!over() && hooks_.progress) hooks_.progress(report_);
}

// Until a host that does not answer is known to be lost.
std::optional<Milliseconds> RestoreRun::state_limit() const {
    auto limit = TableRun::state_limit();
    if (state() == RestoreState::look) *limit += 4 * Milliseconds(deadlines_.bridge_lost_ms);
    return limit;
}

std::string RestoreRun::late_text() const {
    return "not done within " + std::to_string(limit().count()) + " ms" +
           (awaited() == 0 ? "" : "; waiting for " + awaited_names());
}

void RestoreRun::refuse(const std::string& why, ErrorKind kind) {
    kind_ = kind;
    failed(why);
}

void RestoreRun::refused(const std::string& who, const std::shared_ptr<Channel>&,
                         const Error& error) {
    failed("host " + who + ": " + error.text());
}

void RestoreRun::act() {
    when_all(RestoreEvent::ok);
    switch (state()) {
        case RestoreState::wait:
            return wait();
        case RestoreState::check:
            return check();
        case RestoreState::look:
            return look();
        case RestoreState::place:
            return place();
        case RestoreState::verify:
            return verify();
        case RestoreState::fence:
            return fence();
        case RestoreState::raise:
            return raise();
        case RestoreState::destroy:
            return destroy();
        case RestoreState::restore:
            return restore();
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
    report_.total_ms = ms_since(began_);
    const std::string subject = "restore of job " + std::to_string(job_) +
                                (report_.line ? " to line " + std::to_string(report_.line) : "");
    Result<RestoreReport> outcome = report_;
    if (state() == RestoreState::done) {
        for (const std::string& note : report_.notes) log_warning(subject + ": " + note);
        log_info(subject + " is done, generation " + std::to_string(generation_));
    } else {
        const std::string why = name_of(*machine().turned_back_in()) + ": " + reason();
        outcome = fail(subject, "", why, kind_);
        log_warning(outcome.error().text());
    }
    lines_.hold_off(job_, "");
    parts_.room.free(owner());
    asio::post(io(), [self = shared_from_this(), this, outcome] {
        if (hooks_.ended) hooks_.ended(outcome);
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
    const bool stands = state() == RestoreState::restore || takes_masters(state());
    if (!stands || plan_.count(guest) == 0) return;
    failed("guest " + guest + " died: " + reason);
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
