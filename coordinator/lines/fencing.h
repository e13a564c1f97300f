// Turning off a host that is lost, so that what ran there may run elsewhere. That it is off stands
// in the catalog until its bridge speaks again.
#pragma once

#include <functional>
#include <string>

#include "coordinator/lines/parts.h"

namespace grl::coordinator {

// By the site's program. Of a host that is lost; `done` comes once, later, with why it is not off.
// Whoever asked may be gone by then: a host that is off is noted all the same.
void fence_host(const Parts& parts, const std::string& host,
                std::function<void(Result<void>)> done);

// By somebody's word or the program's.
void host_is_off(Hosts& hosts, Store& store, const std::string& host);

}  // namespace grl::coordinator
