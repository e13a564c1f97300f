// What the book of jobs (lines.h) and the rest of the coordinator need of a run that has to do with
// a job's ranks or guests: a line, a rehearsal, a hold, a move.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "coordinator/config.h"
#include "coordinator/engine/run.h"
#include "coordinator/lines/record.h"
#include "coordinator/slurm/view.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

// What comes of a request for a line of the job meanwhile.
enum class Joining { this_line, next_line, refused };

// When a restore of the job may go on: at once, as the guests stand still until they are destroyed;
// once it has asked again a little later; when the run has ended.
enum class Yielding { now, ask_again, at_end };

class JobRun : public Run {
  public:
    using Run::Run;

    virtual void cancel(const std::string& why) = 0;
    virtual Joining joining() const = 0;
    // A restore was asked for: gives way where it can.
    virtual Yielding yield(const std::string& why) = 0;
    // The restore takes the job over, now.
    virtual void hand_over(const std::string& why) { cancel(why); }

    // ---- what it hears ----

    virtual void bridge_away(const std::string& host, const std::string& why) = 0;
    virtual void master_away(const std::string& node, const std::string& why) = 0;
    // What a master of the step says of itself while this runs: a cut of ranks that were let go
    // must not count.
    virtual void master_says(const StepState& state) = 0;
    // A master of the step has connected anew. True if this run tells it what to do.
    virtual bool master_back(const std::shared_ptr<Channel>& channel, const StepState& state) = 0;
    virtual void guest_died(const std::string& guest, const std::string& reason) = 0;
    virtual void image_progress(const LineProgress&) {}
    virtual void image_durable(const GuestDurable&) {}
    virtual void image_failed(const std::string& /*guest*/, const std::string& /*reason*/) {}

    // ---- what it says of itself ----

    virtual LineId id() const = 0;  // line 0: not admitted yet
    // The step's attempt is this run's, and not over.
    virtual bool owns(const StepState& state) const = 0;
    virtual const LineReport& report() const = 0;
    // The job's timer asks for no line meanwhile.
    virtual bool replaces_periodic() const { return true; }
    // A line comes of it, whose end is written down in the catalog.
    virtual bool keeps_line() const { return false; }
    // Bridges may have files of its line.
    virtual bool has_files() const { return true; }
    virtual bool line_stands() const { return false; }  // is committed, whatever comes of the rest
    // For users: "line" and "line 3".
    virtual std::string condition() const { return "line"; }
    virtual std::string doing() const { return "line " + std::to_string(id().line); }
};

// Further conditions that a kind of run has, and what it takes along: called while its order is
// settled, perhaps more than once.
using Shape = std::function<Result<void>(LineOrder&, const JobFacts&)>;

// What a run asks and tells its owner.
struct JobHooks {
    // May this job be brought to silence now? With its number and who takes part; once, later or at
    // once.
    std::function<void(Shape, std::function<void(Result<LineOrder>)>)> admit;
    // All connected bridges that see the checkpoint directory: each can write or delete the
    // manifest.
    std::function<std::vector<std::shared_ptr<Channel>>()> bridges;
    std::function<void(const LineReport&)> progress;
    // Once, at the end; the manifest where the line is committed.
    std::function<void(const LineReport&, const Manifest*)> ended;
};

// Likewise, and the same for all runs.
struct JobSetting {
    asio::io_context& io;
    std::string cluster;
    std::string capture;
    const Deadlines& deadlines;
};

}  // namespace grl::coordinator
