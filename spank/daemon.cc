#include "spank/daemon.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "grl/base/file.h"

namespace grl {

Result<void> become_daemon() {
    const pid_t child = fork();
    if (child < 0) return fail("becoming a daemon", "", errno_text(errno));
    if (child > 0) _exit(0);
    setsid();
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    // Ranks fill the processors, and all of them wait for this process at a line.
    setpriority(PRIO_PROCESS, 0, -15);
    if (chdir("/") != 0) return fail("becoming a daemon", "/", errno_text(errno));
    return {};
}

void log_to(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash != std::string::npos && slash > 0) mkdir(path.substr(0, slash).c_str(), 0755);
    const Fd file(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640));
    if (file) dup2(file.get(), STDERR_FILENO);
}

}  // namespace grl
