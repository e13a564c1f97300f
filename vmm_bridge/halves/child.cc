#include "vmm_bridge/halves/child.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>

namespace grl::bridge {

Result<void> start_child(const std::string& what, const std::function<int()>& run) {
    const pid_t child = fork();
    if (child < 0) return fail("starting " + what, "", errno_text(errno));
    if (child > 0) return {};
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    _exit(run());
}

}  // namespace grl::bridge
