// The rank's mapping of its node's line page.
#pragma once

#include <string>

#include "grl/page/line_page.h"

namespace grl {

// Maps the page at `path` for good: it stays until the process ends, since the gate points into it.
// Null with the reason in `why`.
LinePage* map_line_page(const char* path, std::string& why);

}  // namespace grl
