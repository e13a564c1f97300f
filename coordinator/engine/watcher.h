// Who waits for a line or a restore: sees its progress, then once how it ended.
#pragma once

#include <functional>

#include "grl/base/result.h"

namespace grl::coordinator {

template <class Report>
struct Watcher {
    std::function<void(const Report&)> progress;
    std::function<void(Result<Report>)> done;
};

}  // namespace grl::coordinator
