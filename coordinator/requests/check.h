// May a step be protected? Asked by the plugin before a task starts.
#pragma once

#include <functional>

#include "coordinator/lines/parts.h"
#include "grl/messages/check.h"
#include "grl/wire/handshake.h"

namespace grl::coordinator {

// `answer` is called once, later or at once. A line covers one step of a job, so while another is
// protected the answer waits for its end, at most question.wait_ms; then the new one may run beside
// it. A step that may be protected counts as such from then on, before its masters are here.
void check_step(const Parts& parts, const Peer& peer, const CheckStep& question,
                std::function<void(Result<StepChecked>)> answer);

}  // namespace grl::coordinator
