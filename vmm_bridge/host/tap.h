// Tap devices of guests and the linux bridges they are plugged into. Blocking, but only for the
// kernel's own work (below a millisecond, some 20 for the removal); any thread. Idempotent.
#pragma once

#include <cstddef>
#include <string>

#include "grl/base/result.h"

namespace grl::bridge {

// "tap-g1", "tap1-g1" for the second; names that do not fit the kernel's 15 bytes carry a digest.
std::string tap_name(const std::string& guest, std::size_t index);

// A persistent tap that is up and a port of `bridge`.
Result<void> make_tap(const std::string& tap, const std::string& bridge,
                      const std::string& guest_mac);
Result<void> remove_tap(const std::string& tap);

}  // namespace grl::bridge
