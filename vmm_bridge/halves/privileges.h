// Giving up rights, for the half that listens to the network.
#pragma once

#include <string>

#include "grl/base/result.h"

namespace grl::bridge {

// Becomes `user` ("nobody" if empty), without groups, capabilities or a way back. Where the process
// is not root it keeps its user and loses the rest. Blocking; before any thread is started.
Result<void> drop_privileges(const std::string& user);

}  // namespace grl::bridge
