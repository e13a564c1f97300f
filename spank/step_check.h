// Asks the coordinator, once, whether a step may be protected.
#pragma once

#include "grl/messages/check.h"
#include "spank/master_options.h"

namespace grl {

// Blocks, at most options.limit. Alive in srun, as the user.
Result<StepChecked> check_step(const MasterOptions& options);

}  // namespace grl
