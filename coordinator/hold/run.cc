#include "coordinator/hold/run.h"

#include <algorithm>

#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"

namespace grl::coordinator {

using S = HoldState;
using E = HoldEvent;

HoldRun::HoldRun(const JobSetting& setting, const HoldJob& ask, JobHooks hooks, Held held)
    : JobTableRun(hold_table(), setting, ask.job, std::move(hooks)),
      ask_(ask),
      held_(std::move(held)) {}

void HoldRun::abandon() {
    JobTableRun::abandon();
    held_ = {};
}

void HoldRun::act() {
    switch (state()) {
        case S::request:
            when_all(E::admitted);
            return admit();
        case S::prepare:
            when_all(E::all_prepared);
            // Only this method leaves them stopped.
            return prepare(ask_.checkpoint ? name_of(CaptureMethod::stop_copy) : kNoCapture);
        case S::drain:
            when_all(E::all_silent);
            return drain(deadlines_.drain_ms, deadlines_.silence_failsafe_ms);
        case S::freeze:
            when_all(ask_.checkpoint ? E::all_frozen : E::all_held);
            freezing_ = Steady::now();
            return freeze(limit_s_);
        case S::capture:
            when_all(E::all_captured);
            return capture();
        case S::hold_images:
            when_all(E::all_durable);
            return await_images();
        case S::hold_manifest:
            when_all(E::manifest_written);
            return write_manifest();
        case S::hold:
            return hold();
        case S::release:
            when_all(E::all_released);
            return release();
        case S::undo:
        case S::hold_undo:
            when_all(E::all_undone);
            return undo();
        case S::erase:
            when_all(E::all_undone);
            return erase();
        case S::discard:
            when_all(E::all_undone);
            return discard();
        case S::done:
        case S::aborted:
            return end();
    }
}

// Guests stand still, and so does all that their masters could be told. One that is over already
// answers whoever asked for it by its end.
void HoldRun::hold() {
    line_stands_ = ask_.checkpoint;
    if (!lost_.empty()) return part(lost_);
    for (const LineHost& h : order_.hosts) {
        if (line_stands_ && !h.channel->is_open()) return part("host " + h.name + " is lost");
    }
    if (leaving_) return fire(E::let_go);
    if (held_) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(left_of_it());
        const auto limit_s = line_stands_ ? static_cast<std::uint32_t>(left.count()) : limit_s_;
        held_({record_.report(), limit_s, slurmd_timeout_s_}, line_stands_ ? &manifest_ : nullptr);
    }
    const Milliseconds quarter = std::chrono::seconds(limit_s_) / 4;
    warn_later(std::max(left_of_it() - quarter, Milliseconds(0)));
}

void HoldRun::warn_later(Milliseconds time) {
    after(time, [this] {
        const Milliseconds left = left_of_it();
        log_warning("the hold of job " + std::to_string(order_.id.job) + " ends in " +
                    std::to_string(left.count() / 1000) + " s");
        after(left, [this] { ends(); });
    });
}

void HoldRun::ends() {
    log_warning("the hold of job " + std::to_string(order_.id.job) + " has lasted its " +
                std::to_string(limit_s_) + " s: the job goes on");
    fire(E::let_go);
}

// What is left of the job must not go on without the rest, so nobody is let go here: bridges do
// that when the hold's limit has passed.
void HoldRun::part(const std::string& reason) {
    fire(E::parted, reason + "; grlctl restore " + std::to_string(order_.id.job) +
                        " goes back to line " + std::to_string(order_.id.line));
}

void HoldRun::end() {
    const bool done = state() == S::done;
    if (done && all_resumed()) record_.released();  // not of one that has parted
    if (line_stands_ && !reason().empty()) {
        log_warning("the hold of job " + std::to_string(order_.id.job) + " is over: " + reason() +
                    "; " + text_of(order_.id) + " stands");
    } else if (!done && order_.id.line != 0) {
        log_warning(text_of(order_.id) + " is aborted: " + reason());
    }
    finish(done, line_stands_ ? &manifest_ : nullptr);
}

// ---- its limit ----

Result<void> HoldRun::shape(LineOrder& order, const JobFacts& facts) {
    auto limit = hold_limit(order.id.job, ask_.limit_s, facts.slurmd_timeout_s);
    if (!limit) return limit.error();
    limit_s_ = *limit;
    slurmd_timeout_s_ = facts.slurmd_timeout_s;
    return ask_.checkpoint ? can_be_kept(order) : Result<void>();
}

Milliseconds HoldRun::left_of_it() const {
    const auto since = std::chrono::duration_cast<Milliseconds>(Steady::now() - freezing_);
    return std::max(std::chrono::seconds(limit_s_) - since, Milliseconds(0));
}

std::optional<Milliseconds> HoldRun::state_limit() const {
    const auto limit = JobTableRun::state_limit();
    const bool stopped =
        state() == S::capture || state() == S::hold_images || state() == S::hold_manifest;
    return limit && stopped ? std::min(*limit, left_of_it()) : limit;
}

std::string HoldRun::late_text() const {
    if (limit() == Milliseconds(deadlines_.*row().limit)) return JobTableRun::late_text();
    return name_of(state()) + " took longer than what was left of the " + std::to_string(limit_s_) +
           " s that the hold may last" + no_answer();
}

// ---- its end, and what it hears ----

void HoldRun::let_go() {
    leaving_ = state() == S::hold_manifest;
    fire(E::let_go);
    if (state() != S::release) cancel("it is to go on");
}

void HoldRun::cancel(const std::string& why) {
    leaving_ = state() == S::hold_manifest;
    JobTableRun::cancel(why);
}

// One that has kept its line is not in the way, one whose line is being committed not for long.
Yielding HoldRun::yield(const std::string& why) {
    if (state() == S::hold && line_stands_) return Yielding::now;
    if (state() == S::hold_images || state() == S::hold_manifest) return Yielding::ask_again;
    cancel(why);
    return Yielding::at_end;
}

void HoldRun::hand_over(const std::string& why) {
    fire(E::parted, "the job is restored");
    cancel(why);
}

void HoldRun::bridge_away(const std::string& name, const std::string& why) {
    const bool stands = state() == S::hold && line_stands_;
    if (stands && host(name)) return part("host " + name + " is lost: " + why);
    CaptureBase::bridge_away(name, why);
}

// Its image may be on storage already: then the line is committed, and the hold ends at once.
void HoldRun::guest_died(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    const std::string text = "guest " + guest + " died: " + reason;
    if (state() == S::hold && line_stands_) return part(text);
    if (state() != S::release && ask_.checkpoint && lost_.empty()) lost_ = text;
    CaptureBase::guest_died(guest, reason);
}

std::string HoldRun::condition() const {
    return state() == S::hold ? "held" : JobTableRun::condition();
}

}  // namespace grl::coordinator
