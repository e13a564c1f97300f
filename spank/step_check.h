// Asks the coordinator, once, whether a step may be protected.
#pragma once

#include "spank/master_options.h"

namespace grl {

// Blocks, at most options.limit. Alive in srun, as the user.
Result<void> check_step(const MasterOptions& options);

}  // namespace grl
