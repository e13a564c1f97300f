#include "vmm_bridge/xen/orphans.h"

#include <signal.h>
#include <unistd.h>

extern "C" {
#include <sys/pidfd.h>
}

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "grl/base/file.h"
#include "grl/base/log.h"

namespace grl::bridge {

namespace {

constexpr pid_t kInit = 1;
constexpr const char* kHelper = "libxl-save-help";  // as the kernel cuts it

bool is_orphaned_helper(const std::string& directory) {
    std::string name;
    std::getline(std::ifstream(directory + "/comm") >> std::ws, name);
    if (name != kHelper) return false;
    std::ifstream status(directory + "/status");
    for (std::string line; std::getline(status, line);) {
        const std::string key = "PPid:";
        if (line.starts_with(key)) {
            return std::strtol(line.c_str() + key.size(), nullptr, 10) == kInit;
        }
    }
    return false;
}

}  // namespace

std::vector<pid_t> orphaned_helpers(const std::string& proc) {
    std::vector<pid_t> found;
    std::error_code ec;
    for (std::filesystem::directory_iterator at(proc, ec), end; !ec && at != end;
         at.increment(ec)) {
        const pid_t pid =
            static_cast<pid_t>(std::strtol(at->path().filename().c_str(), nullptr, 10));
        if (pid > kInit && is_orphaned_helper(at->path())) found.push_back(pid);
    }
    return found;
}

std::size_t end_orphaned_helpers() {
    std::size_t ended = 0;
    for (const pid_t pid : orphaned_helpers()) {
        // The descriptor first, then the check: a pid may be another process' by now.
        const Fd process(pidfd_open(pid, 0));
        if (!process || !is_orphaned_helper("/proc/" + std::to_string(pid))) continue;
        pidfd_send_signal(process.get(), SIGKILL, nullptr, 0);
        log_warning("ended process " + std::to_string(pid) +
                    ", which was saving or loading a guest when its bridge ended");
        ++ended;
    }
    return ended;
}

}  // namespace grl::bridge
