// From a child of slurmstepd to a process of its own. Before any thread.
#pragma once

#include <string>

#include "grl/base/result.h"

namespace grl {

// Forks; the parent ends here. The child leads its own session and stands in /.
Result<void> become_daemon();

// Standard error becomes `path`, to which lines are appended; its directory is made. Without it the
// log is lost, which is no reason to refuse a step.
void log_to(const std::string& path);

}  // namespace grl
