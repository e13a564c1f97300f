// What a line's run does in each state, in the order of the states.
#include <algorithm>

#include "coordinator/lines/run.h"
#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

// ---- the straight way ----

void LineRun::admit() {
    hooks_.admit([weak = weak_from_this(), epoch = epoch_](Result<LineOrder> order) {
        auto self = weak.lock();
        if (!self || self->epoch_ != epoch) return;
        if (!order) return self->fire(LineEvent::failed, order.error().why);
        self->order_ = std::move(*order);
        self->record_.admitted(self->order_);
        self->fire(self->order_.move ? LineEvent::may_move : LineEvent::admitted);
    });
}

void LineRun::prepare() {
    when_all_ = LineEvent::all_prepared;
    for (const LineHost& h : order_.hosts) {
        PrepareLine message{order_.id, {}, capture_};
        // Only this method leaves them stopped.
        if (order_.kind == LineKind::hold) {
            message.capture = order_.keeps_line ? name_of(CaptureMethod::stop_copy) : kNoCapture;
        }
        for (const GuestInfo& g : h.guests) message.guests.push_back(g.name);
        ask<PreparedLine>(key_of(h), h.channel, message, [this, &h](const PreparedLine& p) {
            if (!p.copies) return;
            copying_hosts_.insert(h.name);
            when_all_ = LineEvent::may_copy;
        });
    }
    if (order_.hosts.empty()) fire(when_all_);
}

void LineRun::copy() {
    when_all_ = LineEvent::all_copied;
    for (const LineHost& h : order_.hosts) {
        if (copying_hosts_.count(h.name) == 0) continue;
        ask<Done>(key_of(h), h.channel, CopyLine{order_.id}, {});
    }
}

void LineRun::drain() {
    when_all_ = order_.move ? LineEvent::all_quiet : LineEvent::all_silent;
    const Drain message{order_.id.line, order_.attempt, deadlines_.drain_ms,
                        deadlines_.silence_failsafe_ms};
    for (const LineMember& m : order_.members) {
        ask<Silent>(key_of(m), m.channel, message, [this, node = m.node](const Silent& silent) {
            const Proof& p = silent.proof;
            if (silent.attempt != order_.attempt || p.issued != p.completed + p.deferred) {
                return fire(LineEvent::failed, "the proof of silence from " + node + " is off");
            }
            if (!record_.node_silent(silent)) {
                return fire(LineEvent::failed,
                            "the proofs of silence of " + node + " and another node differ");
            }
            if (awaited_.size() == 1) record_.silent();
        });
    }
    if (order_.members.empty()) fire(when_all_);
}

void LineRun::freeze() {
    const bool holds = order_.kind == LineKind::hold && !order_.keeps_line;
    when_all_ = holds ? LineEvent::all_held : LineEvent::all_frozen;
    freezing_ = Steady::now();
    for (const LineHost& h : order_.hosts) {
        FreezeLine message{order_.id, {}};
        if (order_.kind == LineKind::hold) message.hold_s = order_.hold_s;
        ask<FrozenLine>(key_of(h), h.channel, message, [this](const FrozenLine& f) {
            for (const GuestFrozen& g : f.guests) record_.frozen(g);
        });
    }
    if (order_.hosts.empty()) fire(when_all_);
}

void LineRun::capture() {
    when_all_ = keeps_hold() ? LineEvent::all_kept : LineEvent::all_captured;
    for (const LineHost& h : order_.hosts) {
        ask<CapturedLine>(key_of(h), h.channel, CaptureLine{order_.id},
                          [this](const CapturedLine& c) {
                              for (const GuestCaptured& g : c.guests) record_.captured(g);
                          });
    }
    if (order_.hosts.empty()) fire(when_all_);
}

// Guests stand still, and so does all that their masters could be told. One that is over already
// answers whoever asked for it by its end.
void LineRun::hold() {
    line_stands_ = keeps_hold();
    if (!lost_.empty()) return part(lost_);
    for (const LineHost& h : order_.hosts) {
        if (line_stands_ && !h.channel->is_open()) return part("host " + h.name + " is lost");
    }
    if (leaving_) return fire(LineEvent::let_go);
    if (hooks_.held) {
        const auto left = std::chrono::ceil<std::chrono::seconds>(hold_left());
        const auto limit_s =
            line_stands_ ? static_cast<std::uint32_t>(left.count()) : order_.hold_s;
        hooks_.held({record_.report(), limit_s, order_.slurmd_timeout_s},
                    line_stands_ ? &manifest_ : nullptr);
    }
    const Milliseconds quarter = std::chrono::seconds(order_.hold_s) / 4;
    hold_ends(std::max(hold_left() - quarter, Milliseconds(0)), false);
}

Milliseconds LineRun::hold_left() const {
    const auto since = std::chrono::duration_cast<Milliseconds>(Steady::now() - freezing_);
    return std::max(std::chrono::seconds(order_.hold_s) - since, Milliseconds(0));
}

// What is left of the job must not go on without the rest, so nobody is let go here: bridges do
// that when the hold's limit has passed.
void LineRun::part(const std::string& reason) {
    fire(LineEvent::parted, reason + "; grlctl restore " + std::to_string(order_.id.job) +
                                " goes back to line " + std::to_string(order_.id.line));
}

// The deadline goes off twice: with a warning, and at the end.
void LineRun::hold_ends(Milliseconds after, bool last) {
    deadline_.expires_after(after);
    deadline_.async_wait(
        [weak = weak_from_this(), epoch = epoch_, last](const boost::system::error_code& ec) {
            auto self = weak.lock();
            if (ec || !self || self->epoch_ != epoch) return;
            const std::string whose = "the hold of job " + std::to_string(self->order_.id.job);
            if (!last) {
                const Milliseconds left = self->hold_left();
                log_warning(whose + " ends in " + std::to_string(left.count() / 1000) + " s");
                return self->hold_ends(left, true);
            }
            log_warning(whose + " has lasted its " + std::to_string(self->order_.hold_s) +
                        " s: the job goes on");
            self->let_go();
        });
}

void LineRun::release() {
    when_all_ = order_.kind == LineKind::line ? LineEvent::all_released : LineEvent::went_on;
    if (order_.hosts.empty()) {
        for (const LineMember& m : order_.members) release_member(m, false);
        return;
    }
    for (const LineMember& m : order_.members) awaited_.insert(key_of(m));
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, ResumeLine{order_.id}, [this, &h](const Done&) {
            resumed_hosts_.insert(h.name);
            for (const GuestInfo& g : h.guests) {
                record_.resumed(g.name);
                for (const LineMember& m : order_.members) {
                    if (m.node == g.name) release_member(m, false);
                }
            }
        });
    }
}

void LineRun::release_member(const LineMember& member, bool aborted) {
    Release message;
    message.line = order_.id.line;
    message.attempt = order_.attempt;
    message.generation = order_.generation;
    message.aborted = aborted;
    message.now_ns = wall_ns();
    ask<Done>(key_of(member), member.channel, message, {});
}

void LineRun::await_images() {
    if (machine_.state() == LineState::images) record_.released();
    if (!image_fault_.empty()) return fire(LineEvent::image_failed, image_fault_);
    for (const LineHost& h : order_.hosts) {
        if (!h.channel->is_open() && !record_.durable_on(h)) {
            return fire(LineEvent::bridge_lost, "host " + h.name + " is away");
        }
    }
    if (record_.all_durable()) fire(LineEvent::all_durable);
}

void LineRun::write_manifest() {
    manifest_ = record_.manifest(order_, cluster_);
    if (auto checked = check_manifest(manifest_); !checked) {
        return fire(LineEvent::failed, checked.error().why);
    }
    hand_manifest(hooks_.bridges());
}

// Anyone can write it; if the one that was asked is lost, the next is asked for the same.
void LineRun::hand_manifest(std::vector<std::shared_ptr<Channel>> bridges) {
    if (bridges.empty()) return fire(LineEvent::failed, "no bridge is left to write the manifest");
    const auto bridge = bridges.back();
    bridges.pop_back();
    const CommitLine message{order_.id, to_json(manifest_).as_object()};
    bridge->request<Done>(message, limit(),
                          [self = shared_from_this(), epoch = epoch_, bridge,
                           bridges = std::move(bridges)](Result<Done> done) {
                              if (self->epoch_ != epoch) return;
                              if (done) return self->fire(LineEvent::manifest_written);
                              if (!bridge->is_open()) return self->hand_manifest(bridges);
                              self->fire(LineEvent::failed, done.error().text());
                          });
}

// ---- the ways back ----

void LineRun::undo() {
    when_all_ = LineEvent::all_undone;
    abort_bridges();
    for (const LineMember& m : order_.members) release_member(m, true);
}

void LineRun::abort_bridges() {
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, AbortLine{order_.id}, {});
    }
    if (!order_.move) return;
    // Nobody was told to run it there: in whatever order these come.
    for (const LineHost* h : {&order_.move->to, &order_.move->from}) {
        ask<Done>(key_of(*h), h->channel, DropMove{order_.move->move}, {});
    }
}

void LineRun::erase() {
    const auto bridges = hooks_.bridges();
    if (bridges.empty()) return fire(LineEvent::all_undone);
    when_all_ = LineEvent::all_undone;
    ask<Done>(bridges.back()->name(), bridges.back(), DeleteLine{order_.id}, {});
}

void LineRun::discard() {
    when_all_ = LineEvent::all_undone;
    abort_bridges();
    if (awaited_.empty()) fire(LineEvent::all_undone);
}

void LineRun::end() {
    const bool done = machine_.state() == LineState::done;
    const bool committed = done && order_.kind == LineKind::line;
    const bool all_on = resumed_hosts_.size() == order_.hosts.size();  // none of a rehearsal
    if (done && !committed && !order_.move && all_on) record_.released();
    record_.end(done ? Phase::done : Phase::aborted, machine_.reason());
    tell_later_.cancel();
    if (committed) {
        log_info(text_of(order_.id) + " is committed");
    } else if (line_stands_ && !machine_.reason().empty()) {
        log_warning("the hold of job " + std::to_string(order_.id.job) +
                    " is over: " + machine_.reason() + "; " + text_of(order_.id) + " stands");
    } else if (order_.move) {
        const MoveOrder& m = *order_.move;
        const std::string what = "move " + std::to_string(m.move) + ": guest " + m.guest;
        done ? log_info(what + " runs on " + m.to.name)
             : log_warning(what + " does not go from " + m.from.name + " to " + m.to.name + ": " +
                           machine_.reason());
    } else if (!done && order_.id.line != 0) {
        log_warning(text_of(order_.id) + " is aborted: " + machine_.reason());
    }
    // Not from inside the machine: what follows may begin the job's next line.
    asio::post(io_, [self = shared_from_this(), stands = committed || line_stands_] {
        if (!self->hooks_.ended) return;
        self->hooks_.ended(self->record_.report(), stands ? &self->manifest_ : nullptr);
    });
}

// ---- asking ----

void LineRun::answered(const std::string& who) {
    awaited_.erase(who);
    if (awaited_.empty()) fire(when_all_);
}

void LineRun::refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                      const Error& error) {
    const LineState state = machine_.state();
    if (state == LineState::undo || state == LineState::hold_undo || state == LineState::erase ||
        state == LineState::discard || state == LineState::strand) {
        log_warning("undoing " + text_of(order_.id) + ": " + who + ": " + error.text());
        return answered(who);
    }
    const bool is_member = std::any_of(order_.members.begin(), order_.members.end(),
                                       [&](const LineMember& m) { return key_of(m) == who; });
    const bool gone = !channel->is_open();
    // The others are not kept waiting for it; go_on asks again.
    if (gone && state == LineState::wake) return fire(when_all_);
    // It comes back when its guest runs on, and is released then.
    if (gone && is_member && (state == LineState::release || state == LineState::go_on)) return;
    if (!gone) return fire(LineEvent::failed, who + ": " + error.text());
    fire(is_member && state == LineState::drain ? LineEvent::master_lost : LineEvent::bridge_lost,
         who + " is lost: " + error.why);
}

}  // namespace grl::coordinator
