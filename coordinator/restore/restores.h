// The restores under way, one a job. Runs on the io_context's thread; does not block.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/engine/watcher.h"
#include "coordinator/restore/run.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

class Restores {
  public:
    Restores(Parts parts, Lines& lines) : parts_(parts), lines_(lines) {}
    ~Restores();

    // The last committed line if none is given. A job that is being restored refuses another one.
    void request(std::uint32_t job, std::optional<std::uint32_t> line,
                 Watcher<RestoreReport> watcher, OtherLife other_life = OtherLife::refused);
    std::shared_ptr<RestoreRun> of(std::uint32_t job) const;  // null: none
    const std::map<std::uint32_t, std::shared_ptr<RestoreRun>>& all() const { return runs_; }

  private:
    Parts parts_;
    Lines& lines_;
    std::map<std::uint32_t, std::shared_ptr<RestoreRun>> runs_;
};

}  // namespace grl::coordinator
