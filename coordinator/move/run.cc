#include "coordinator/move/run.h"

#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

using S = MoveState;
using E = MoveEvent;

MoveRun::MoveRun(const JobSetting& setting, std::uint32_t job, MoveOrder order, JobHooks hooks,
                 Moving moving)
    : JobTableRun(move_table(), setting, job, std::move(hooks)),
      move_(std::move(order)),
      moving_(std::move(moving)) {}

void MoveRun::abandon() {
    JobTableRun::abandon();
    moving_ = {};
}

void MoveRun::act() {
    switch (state()) {
        case S::request:
            when_all(E::admitted);
            return admit();
        case S::precopy:
            when_all(E::all_copied);  // or went_ahead
            return precopy();
        case S::drain:
            when_all(E::all_silent);
            return drain(deadlines_.drain_ms, failsafe_ms());
        case S::switchover:
            when_all(E::all_arrived);
            return switch_over();
        case S::note:
            return note();
        case S::give:
            when_all(E::all_given);
            return give();
        case S::wake:
            when_all(E::all_released);
            return wake();
        case S::go_on:
            when_all(E::all_released);
            return go_on();
        case S::clear:
            when_all(E::all_cleared);
            return clear();
        case S::strand:
            when_all(E::all_undone);
            return strand();
        case S::undo:
            when_all(E::all_undone);
            drop();
            return release_all(true);
        case S::discard:
            when_all(E::all_undone);
            return drop();
        case S::done:
        case S::aborted:
            return end();
    }
}

// The others' ranks are silent from the drain until the guest runs there, which may take longer
// than a line: gates that open by themselves meanwhile would open into the switchover.
std::uint32_t MoveRun::failsafe_ms() const {
    const Deadlines& d = deadlines_;
    const std::uint64_t standing = std::uint64_t{d.switch_ms} + d.prepare_ms + 2ULL * d.release_ms +
                                   4 * static_cast<std::uint64_t>(2 * kGrace.count());
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(
        std::max<std::uint64_t>(standing, d.silence_failsafe_ms), UINT32_MAX));
}

// ---- its admission ----

Result<void> MoveRun::shape(LineOrder& order, const JobFacts&) {
    order.hosts.clear();
    return {};
}

// A guest can be moved without a silence, too: whatever forbids a line does not hold it here.
Result<LineOrder> MoveRun::admitted(Result<LineOrder> order) {
    if (order) return order;
    undrained_ = order.error().why;
    LineOrder alone;
    alone.id = {order_.id.job, move_.move};
    return alone;
}

// ---- the states ----

void MoveRun::precopy() {
    ask<Receiving>(key_of(move_.to), move_.to.channel,
                   ReceiveGuest{move_.move, move_.guest, move_.token, move_.encrypted},
                   [this](const Receiving& receiving) { send(receiving.address); });
}

void MoveRun::send(const std::string& address) {
    const SendGuest message{move_.move, move_.guest,       move_.token,
                            address,    move_.limit_mib_s, move_.encrypted};
    ask<Precopied>(key_of(move_.from), move_.from.channel, message,
                   [this](const Precopied& copied) {
                       so_far_.sent_bytes = copied.sent_bytes;
                       if (!copied.stopped) return;
                       stopping_ = Steady::now();
                       when_all(E::went_ahead);
                   });
}

void MoveRun::switch_over() {
    // As proven as a line's, and not if the VMM went ahead in the midst of the drain.
    so_far_.drained = record_.report().proof.ranks != 0 && stopping_ == Steady::time_point();
    if (stopping_ == Steady::time_point()) stopping_ = Steady::now();
    ask<Done>(key_of(move_.to), move_.to.channel, AwaitGuest{move_.move});
    ask<Switched>(key_of(move_.from), move_.from.channel, SwitchGuest{move_.move},
                  [this](const Switched& s) { so_far_.sent_bytes = s.sent_bytes; });
}

// On disk, as the next coordinator must not give it back.
void MoveRun::note() {
    move_.note(here([this](const Result<void>& noted) {
        if (!noted) return failed(noted.error().text());
        so_far_.given = true;
        fire(E::noted);
    }));
}

// From here on it is not dropped any more, whatever happens.
void MoveRun::give() {
    ask<Done>(key_of(move_.to), move_.to.channel, ResumeGuests{{move_.guest}},
              [this](const Done&) { so_far_.downtime_ms = ms_since(stopping_); });
}

void MoveRun::wake() {
    for (const LineMember& m : order_.members) {
        if (m.node == move_.guest && so_far_.drained) release_member(m, false);
    }
    all_asked();
}

// The moved guest's master, too: it may have come back meanwhile.
void MoveRun::go_on() {
    release_all(!so_far_.drained);
    all_asked();
}

void MoveRun::clear() {
    if (so_far_.drained) record_.released();
    ask<Done>(key_of(move_.from), move_.from.channel, DestroyGuests{{move_.guest}});
}

void MoveRun::strand() {
    log_error("guest " + move_.guest + " may stand still: whether it runs on " + move_.to.name +
              " is what that host's next inventory says");
    release_all(true);
    all_asked();
}

// Nobody was told to run it there: in whatever order these come.
void MoveRun::drop() {
    for (const LineHost* h : {&move_.to, &move_.from}) {
        ask<Done>(key_of(*h), h->channel, DropMove{move_.move});
    }
}

void MoveRun::end() {
    const bool done = state() == S::done;
    const std::string what = "move " + std::to_string(move_.move) + ": guest " + move_.guest;
    if (done) {
        log_info(what + " runs on " + move_.to.name);
    } else {
        log_warning(what + " does not go from " + move_.from.name + " to " + move_.to.name + ": " +
                    reason());
    }
    finish(done, nullptr);
}

// ---- what it hears ----

Yielding MoveRun::yield(const std::string& why) {
    cancel(why);
    return Yielding::at_end;
}

void MoveRun::refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                      const Error& error) {
    // The others are not kept waiting for it; go_on asks again.
    if (state() == S::wake && !channel->is_open()) return all_answered();
    JobTableRun::refused(who, channel, error);
}

void MoveRun::bridge_away(const std::string& name, const std::string& why) {
    if (needs_bridge(name)) bridge_lost("host " + name + " is lost: " + why);
}

bool MoveRun::needs_bridge(const std::string& host) const {
    switch (state()) {
        case S::give:
        case S::wake:
            return host == move_.to.name;
        case S::clear:
            return host == move_.from.name;
        case S::go_on:
            return false;
        default:
            return host == move_.from.name || host == move_.to.name;
    }
}

void MoveRun::guest_died(const std::string& guest, const std::string& reason) {
    if (guest != move_.guest) return;
    fire(E::guest_died, "image of guest " + guest + ": guest " + guest + " died: " + reason);
}

void MoveRun::move_progress(const MoveProgress& progress) {
    so_far_.sent_bytes = std::max(so_far_.sent_bytes, progress.sent_bytes);
    so_far_.left_bytes = progress.left_bytes;
    so_far_.dirty_bytes_s = progress.dirty_bytes_s;
    so_far_.passes = std::max(so_far_.passes, progress.passes);
    if (progress.stopped && state() == S::drain) {
        stopping_ = Steady::now();
        return fire(E::went_ahead);
    }
    tell_later();
}

// ---- what it says of itself ----

void MoveRun::tell() {
    JobBase::tell();
    if (moving_) moving_(move_report());
}

std::string MoveRun::doing() const {
    return "guest " + move_.guest + " to " + move_.to.name;
}

MoveReport MoveRun::move_report() const {
    MoveReport r = so_far_;
    r.move = move_.move;
    r.guest = move_.guest;
    r.from = move_.from.name;
    r.to = move_.to.name;
    r.cause = move_.cause;
    r.line = record_.report();
    r.total_ms = ms_since(began_);
    r.note = undrained_;
    if (r.note.empty() && !r.drained && !order_.members.empty() && r.line.phase == Phase::done) {
        r.note = "its VMM was quicker than the drain";
    }
    return r;
}

}  // namespace grl::coordinator
