// libxenlight's save helpers whose bridge is gone: each still writes or reads a guest's state that
// nobody wants. Blocks for a look into /proc; at start, before anything is saved.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <sys/types.h>

namespace grl::bridge {

// Those without a parent, of /proc or a directory like it.
std::vector<pid_t> orphaned_helpers(const std::string& proc = "/proc");
// Ends them; how many there were.
std::size_t end_orphaned_helpers();

}  // namespace grl::bridge
