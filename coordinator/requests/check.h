// May a step be protected? Asked by the plugin before a task starts.
#pragma once

#include <functional>

#include "coordinator/lines/parts.h"
#include "grl/messages/check.h"
#include "grl/messages/opening.h"
#include "grl/wire/handshake.h"

namespace grl::coordinator {

// `answer` is called once, later or at once: nothing, or the reason for the step's user.
void check_step(const Parts& parts, const Peer& peer, const CheckStep& question,
                std::function<void(Result<Done>)> answer);

}  // namespace grl::coordinator
