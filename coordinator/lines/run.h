// One line on its way: does what the state machine says, with the bridges and masters that take
// part.
//
//   coordinator           bridges (all at once)        masters (all at once)
//   prepare     ─────────► prepare_line
//   copy        ─────────► copy_line, where a guest is captured live
//   drain       ─────────────────────────────────────► drain … silent
//   freeze      ─────────► freeze_line … frozen_line            ┐
//   capture     ─────────► capture_line … captured_line         │ the job stands still
//   hold          of a hold, in place of capture: nothing, until it is let go
//   hold_images, hold_manifest   of one that keeps a line, before it: as images, manifest
//   release     ─────────► resume_line … done ────────► release ┘
//   images      ◄───────── guest_durable
//   manifest    ─────────► commit_line (one bridge)
//
// and of a move, between the bridges of two hosts:
//
//   precopy     ─────────► receive_guest there, send_guest here … precopied
//   drain       ─────────────────────────────────────► drain … silent
//   switchover  ─────────► switch_guest here, await_guest there
//   note          the catalog, on disk: from here on it is the target's
//   give        ─────────► resume_guests there
//   wake        ─────────────────────────────────────► release (its own master)
//   go_on       ─────────────────────────────────────► release
//   clear       ─────────► destroy_guests here
//
// A node's master is released when its bridge has resumed the guest: a word sent to a guest that
// stands still would wait for TCP to send it again. A rehearsal has no bridges. Runs on the
// io_context's thread; nothing blocks.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "coordinator/lines/record.h"
#include "coordinator/lines/table.h"
#include "coordinator/lines/words.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/moves.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

class LineRun : public std::enable_shared_from_this<LineRun> {
  public:
    struct Hooks {
        // May this job take a line now? With its number and who takes part; once, later or at once.
        std::function<void(std::function<void(Result<LineOrder>)>)> admit;
        // All connected bridges: anyone of them can write or delete the manifest.
        std::function<std::vector<std::shared_ptr<Channel>>()> bridges;
        std::function<void(const LineReport&)> progress;
        // A hold's guests stand still; the manifest where it keeps a line.
        std::function<void(const HeldJob&, const Manifest*)> held;
        std::function<void(const MoveReport&)> moving;  // progress of a move
        // Once, at the end; the manifest where the line is committed.
        std::function<void(const LineReport&, const Manifest*)> ended;
    };

    LineRun(asio::io_context& io, std::uint32_t job, LineKind kind, std::string cluster,
            std::string capture, const Deadlines& deadlines, Hooks hooks);
    void start();
    void cancel(const std::string& reason);
    void let_go();  // ends a hold; in hold_manifest as soon as it begins, else nothing
    // A restore takes the job over: a hold that has kept its line lets nobody go.
    void hand_over();
    // No hook is called any more: their owner ends.
    void abandon();

    // What the rest of the coordinator learns meanwhile.
    void bridge_away(const std::string& host, const std::string& why);
    void master_away(const std::string& node, const std::string& why);
    // What a master of the step says of itself while the line runs: a cut of ranks that were let go
    // must not count.
    void master_says(const StepState& state);
    // A master of the step has connected anew. True if this line tells it what to do.
    bool master_back(const std::shared_ptr<Channel>& channel, const StepState& state);
    void guest_died(const std::string& guest, const std::string& reason);
    void image_progress(const LineProgress& progress);
    void image_durable(const GuestDurable& durable);
    void image_failed(const std::string& guest, const std::string& reason);
    void move_progress(const MoveProgress& progress);

    LineId id() const { return order_.id; }  // line 0: not admitted yet
    // The step's attempt is this line's, and not over.
    bool owns(const StepState& state) const {
        return !machine_.over() && id().line != 0 && state.step == order_.step &&
               state.attempt == order_.attempt;
    }
    const LineMachine& machine() const { return machine_; }
    LineKind kind() const { return order_.kind; }
    bool keeps_line() const { return order_.kind == LineKind::line || keeps_hold(); }
    // Of a hold: its line is committed, whatever becomes of the hold.
    bool line_stands() const { return line_stands_; }
    const LineReport& report() const { return record_.report(); }
    const std::optional<MoveOrder>& move() const { return order_.move; }
    MoveReport move_report() const;

  private:
    void fire(LineEvent event, const std::string& reason = {});
    void settle();
    void enter();
    void act();

    // One per state, in the order in which they run.
    void admit();
    void prepare();
    void copy();
    void drain();
    void freeze();
    void capture();
    void hold();
    void hold_ends(Milliseconds after, bool last);
    Milliseconds hold_left() const;
    bool keeps_hold() const { return order_.kind == LineKind::hold && order_.keeps_line; }
    void part(const std::string& reason);
    void release();
    void precopy();  // these: line_moves.cc
    void switch_over();
    void note();
    void give();
    void wake();
    void go_on();
    void clear();
    void strand();
    void await_images();
    void write_manifest();
    void undo();
    void erase();
    void discard();
    void end();

    template <class Reply, class Message>
    void ask(const std::string& who, const std::shared_ptr<Channel>& channel,
             const Message& message, std::function<void(const Reply&)> take);
    void answered(const std::string& who);
    void refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                 const Error& error);
    void release_member(const LineMember& member, bool aborted);
    void abort_bridges();
    void tell_later();
    bool moves_over(const std::string& host) const;
    void hand_manifest(std::vector<std::shared_ptr<Channel>> bridges);
    void tell();

    const LineHost* host(const std::string& name) const;
    bool has_guest(const std::string& name) const;
    bool host_resumed(const std::string& guest) const;
    Milliseconds limit() const { return limit_; }  // of the current state
    Milliseconds limit_now() const;
    std::string too_long() const;
    std::string missing() const;

    asio::io_context& io_;
    std::string cluster_;
    std::string capture_;
    Deadlines deadlines_;
    Hooks hooks_;
    LineMachine machine_;
    LineRecord record_;
    LineOrder order_;
    Manifest manifest_;
    MoveReport moving_;  // of a move: what is not in the record
    Steady::time_point began_ = Steady::now();
    Steady::time_point freezing_;  // of a hold, whose limit counts from here
    bool leaving_ = false;         // a hold that is to end when it begins
    bool line_stands_ = false;
    std::string lost_;             // who died while a hold's line was committed
    Steady::time_point stopping_;  // told to stop, or told that it is

    // Of the current state only; a reply that comes later is of an older epoch and passed over.
    std::uint64_t epoch_ = 0;
    Milliseconds limit_{0};
    std::set<std::string> awaited_;
    LineEvent when_all_ = LineEvent::all_undone;

    bool firing_ = false;
    std::deque<std::pair<LineEvent, std::string>> fired_;
    std::set<std::string> copying_hosts_;  // have guests that are captured live
    std::set<std::string> resumed_hosts_;
    std::string image_fault_;
    asio::steady_timer deadline_;
    asio::steady_timer tell_later_;
    bool telling_later_ = false;
};

template <class Reply, class Message>
void LineRun::ask(const std::string& who, const std::shared_ptr<Channel>& channel,
                  const Message& message, std::function<void(const Reply&)> take) {
    awaited_.insert(who);
    channel->request<Reply>(message, limit() + 2 * kLineGrace,
                            [self = shared_from_this(), epoch = epoch_, who, channel,
                             take = std::move(take)](Result<Reply> reply) {
                                if (self->epoch_ != epoch) return;
                                if (!reply) return self->refused(who, channel, reply.error());
                                if (take) take(*reply);
                                if (self->epoch_ == epoch) self->answered(who);
                            });
}

}  // namespace grl::coordinator
