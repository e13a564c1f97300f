// Descriptors from one process of the bridge to another, each with a label, over a pair of packet
// sockets. Blocking is the caller's matter; any thread.
#pragma once

#include <optional>
#include <string>

#include "grl/base/file.h"
#include "grl/base/result.h"

namespace grl::bridge {

inline constexpr std::size_t kMostLabel = 128;  // bytes

struct Passed {
    std::string label;
    Fd fd;  // empty: the packet held none
};

// Two ends, closed on exec.
Result<std::pair<Fd, Fd>> open_passing_pair();

// `fd` stays the caller's. Never blocks: a peer that does not take it is an error.
Result<void> pass_fd(int through, int fd, const std::string& label);

// The next packet; nothing when the peer is gone.
Result<std::optional<Passed>> take_fd(int through);

}  // namespace grl::bridge
