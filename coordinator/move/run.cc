// The states of a line that belong to a move, in their order.
#include "coordinator/lines/run.h"
#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

void LineRun::precopy() {
    when_all_ = LineEvent::all_copied;
    const MoveOrder& m = *order_.move;
    ask<Receiving>(
        key_of(m.to), m.to.channel, ReceiveGuest{m.move, m.guest, m.token, m.encrypted},
        [this, &m](const Receiving& receiving) {
            const SendGuest send{m.move, m.guest, m.token, receiving.address, m.limit_mib_s,
                                 m.encrypted};
            ask<Precopied>(key_of(m.from), m.from.channel, send, [this](const Precopied& copied) {
                moving_.sent_bytes = copied.sent_bytes;
                if (!copied.stopped) return;
                stopping_ = Steady::now();
                when_all_ = LineEvent::went_ahead;
            });
        });
}

void LineRun::switch_over() {
    when_all_ = LineEvent::all_arrived;
    const MoveOrder& m = *order_.move;
    // As proven as a line's, and not if the VMM went ahead in the midst of the drain.
    moving_.drained = record_.report().proof.ranks != 0 && stopping_ == Steady::time_point();
    if (stopping_ == Steady::time_point()) stopping_ = Steady::now();
    ask<Done>(key_of(m.to), m.to.channel, AwaitGuest{m.move}, {});
    ask<Switched>(key_of(m.from), m.from.channel, SwitchGuest{m.move},
                  [this](const Switched& s) { moving_.sent_bytes = s.sent_bytes; });
}

// On disk, as the next coordinator must not give it back.
void LineRun::note() {
    order_.move->note([weak = weak_from_this(), epoch = epoch_](const Result<void>& noted) {
        auto self = weak.lock();
        if (!self || self->epoch_ != epoch) return;
        if (!noted) return self->fire(LineEvent::failed, noted.error().text());
        self->moving_.given = true;
        self->fire(LineEvent::noted);
    });
}

// From here on it is not dropped any more, whatever happens.
void LineRun::give() {
    when_all_ = LineEvent::all_given;
    const MoveOrder& m = *order_.move;
    ask<Done>(key_of(m.to), m.to.channel, ResumeGuests{{m.guest}},
              [this](const Done&) { moving_.downtime_ms = ms_since(stopping_); });
}

void LineRun::wake() {
    when_all_ = LineEvent::all_released;
    for (const LineMember& m : order_.members) {
        if (m.node == order_.move->guest && moving_.drained) release_member(m, false);
    }
    if (awaited_.empty()) fire(when_all_);
}

// The moved guest's master, too: it may have come back meanwhile.
void LineRun::go_on() {
    when_all_ = LineEvent::all_released;
    for (const LineMember& m : order_.members) release_member(m, !moving_.drained);
    if (order_.members.empty()) fire(when_all_);
}

void LineRun::clear() {
    if (moving_.drained) record_.released();
    when_all_ = LineEvent::all_cleared;
    const MoveOrder& m = *order_.move;
    ask<Done>(key_of(m.from), m.from.channel, DestroyGuests{{m.guest}}, {});
}

void LineRun::strand() {
    when_all_ = LineEvent::all_undone;
    log_error("guest " + order_.move->guest + " may stand still: whether it runs on " +
              order_.move->to.name + " is what that host's next inventory says");
    for (const LineMember& m : order_.members) release_member(m, true);
    if (order_.members.empty()) fire(when_all_);
}

// Whose bridge is still needed.
bool LineRun::moves_over(const std::string& host) const {
    const MoveOrder& m = *order_.move;
    switch (machine_.state()) {
        case LineState::give:
            return host == m.to.name;
        case LineState::clear:
            return host == m.from.name;
        case LineState::wake:
            return host == m.to.name;
        case LineState::go_on:
            return false;
        default:
            return host == m.from.name || host == m.to.name;
    }
}

void LineRun::move_progress(const MoveProgress& progress) {
    if (!order_.move || progress.move != order_.move->move) return;
    moving_.sent_bytes = std::max(moving_.sent_bytes, progress.sent_bytes);
    moving_.left_bytes = progress.left_bytes;
    moving_.dirty_bytes_s = progress.dirty_bytes_s;
    moving_.passes = std::max(moving_.passes, progress.passes);
    if (progress.stopped && machine_.state() == LineState::drain) {
        stopping_ = Steady::now();
        return fire(LineEvent::went_ahead);
    }
    tell_later();
}

MoveReport LineRun::move_report() const {
    MoveReport r = moving_;
    const MoveOrder& m = *order_.move;
    r.move = m.move;
    r.guest = m.guest;
    r.from = m.from.name;
    r.to = m.to.name;
    r.cause = m.cause;
    r.line = record_.report();
    r.total_ms = ms_since(began_);
    r.note = m.undrained;
    if (r.note.empty() && !r.drained && !order_.members.empty() && r.line.phase == Phase::done) {
        r.note = "its VMM was quicker than the drain";
    }
    return r;
}

}  // namespace grl::coordinator
