// The one line that the plugin waits for (spank/helper.h): "ready", or "refused: " or "beside: " and
// why. By hand, without the pipe, it goes to standard output.
#pragma once

#include <string>

namespace grl {

// The first call counts; the pipe is closed behind it.
void answer_ready();
void answer_refused(const std::string& why);
void answer_beside(const std::string& why);

}  // namespace grl
