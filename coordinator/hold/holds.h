// Jobs that are held: who asked for it, and how they are let go.
//
// Runs on the io_context's thread; does not block.
#pragma once

#include <map>
#include <memory>

#include "coordinator/engine/watcher.h"
#include "coordinator/hold/run.h"
#include "coordinator/lines/lines.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

class Holds {
  public:
    Holds(Parts parts, Lines& lines) : parts_(parts), lines_(lines) {}

    // Silence, and guests that stand still for at most the asked limit (0: as long as Slurm
    // allows). Refused while a run of the job is under way, and where Slurm would give the nodes
    // up.
    void hold(const HoldJob& ask, Watcher<HeldJob> watcher);
    // Ends the job's hold; the watcher is told when the job goes on.
    void let_go(std::uint32_t job, Watcher<LineReport> watcher);

  private:
    void began(std::uint32_t job, const HeldJob& held, const Manifest* manifest);
    Result<LineReport> ended(std::uint32_t job, const LineReport& report,
                             Result<LineReport> outcome);
    void free_parted(std::uint32_t job, Watcher<LineReport> watcher);

    struct Holder {
        std::shared_ptr<HoldRun> run;
        std::optional<Watcher<HeldJob>> watcher;  // until it is held
    };
    Parts parts_;
    Lines& lines_;
    std::map<std::uint32_t, Holder> holders_;  // by job
};

}  // namespace grl::coordinator
