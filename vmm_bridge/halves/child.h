// A process of the bridge that is the same program: what does without rights gets one.
#pragma once

#include <functional>

#include "grl/base/result.h"

namespace grl::bridge {

// Forks one that does `run` and exits with what that returns. It ends when the parent's end of
// what joins them closes; a terminal's ^C is for the parent to act on. Before there are threads.
Result<void> start_child(const std::string& what, const std::function<int()>& run);

}  // namespace grl::bridge
