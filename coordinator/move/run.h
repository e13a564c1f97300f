// One move on its way: does what its table says (table.h), with the bridges of two hosts and the
// masters of the job on the guest, if any.
//
//   coordinator           bridges                      masters (all at once)
//   precopy     ─────────► receive_guest there, send_guest here … precopied
//   drain       ─────────────────────────────────────► drain … silent
//   switchover  ─────────► switch_guest here, await_guest there
//   note          the catalog, on disk: from here on it is the target's
//   give        ─────────► resume_guests there
//   wake        ─────────────────────────────────────► release (its own master)
//   go_on       ─────────────────────────────────────► release
//   clear       ─────────► destroy_guests here
//
// Runs on the io_context's thread; nothing blocks.
#pragma once

#include <functional>
#include <string>

#include "coordinator/engine/clock.h"
#include "coordinator/lines/job_base.h"
#include "coordinator/lines/job_table_run.h"
#include "coordinator/move/order.h"
#include "coordinator/move/table.h"
#include "grl/messages/moves.h"

namespace grl::coordinator {

class MoveRun : public JobTableRun<MoveState, MoveEvent, JobBase> {
  public:
    using Moving = std::function<void(const MoveReport&)>;  // progress

    // Job 0: none is protected.
    MoveRun(const JobSetting& setting, std::uint32_t job, MoveOrder order, JobHooks hooks,
            Moving moving);
    void abandon() override;
    void move_progress(const MoveProgress& progress);
    MoveReport move_report() const;

    Joining joining() const override { return Joining::next_line; }
    Yielding yield(const std::string& why) override;
    void bridge_away(const std::string& name, const std::string& why) override;
    void guest_died(const std::string& guest, const std::string& reason) override;

    bool has_files() const override { return false; }
    std::string condition() const override { return "moving"; }
    std::string doing() const override;

  private:
    std::uint32_t failsafe_ms() const;
    void act() override;
    void tell() override;
    Result<void> shape(LineOrder& order, const JobFacts& facts) override;
    Result<LineOrder> admitted(Result<LineOrder> order) override;
    void refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                 const Error& error) override;

    // One per state that is the move's own, in the order in which they run.
    void precopy();
    void send(const std::string& address);
    void switch_over();
    void note();
    void give();
    void wake();
    void go_on();
    void clear();
    void strand();
    void drop();
    void end();
    bool needs_bridge(const std::string& host) const;

    MoveOrder move_;
    Moving moving_;
    std::string undrained_;  // why the job on it is not brought to silence; empty: it is, if any
    MoveReport so_far_;      // what is not in the record
    Steady::time_point began_ = Steady::now();
    Steady::time_point stopping_;  // told to stop, or told that it is
};

}  // namespace grl::coordinator
