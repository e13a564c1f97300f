#include "vmm_bridge/halves/privileges.h"

#include <cap-ng.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace grl::bridge {

namespace {

constexpr std::size_t kUserBuffer = 16384;

Error denied(const std::string& why) {
    return fail("giving up root's rights", "", why);
}

}  // namespace

Result<void> drop_privileges(const std::string& user) {
    const std::string name = user.empty() ? "nobody" : user;
    capng_clear(CAPNG_SELECT_ALL);
    if (geteuid() == 0) {
        passwd entry{};
        passwd* found = nullptr;
        std::vector<char> buffer(kUserBuffer);
        const int e = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
        if (e != 0 || !found) return denied("there is no user " + name);
        if (entry.pw_uid == 0) return denied("user " + name + " is root");
        const auto flags = static_cast<capng_flags_t>(CAPNG_DROP_SUPP_GRP | CAPNG_CLEAR_BOUNDING |
                                                      CAPNG_CLEAR_AMBIENT);
        const int changed =
            capng_change_id(static_cast<int>(entry.pw_uid), static_cast<int>(entry.pw_gid), flags);
        if (changed != 0) {
            return denied("becoming user " + name + " failed with " + std::to_string(changed));
        }
        if (setuid(0) == 0) return denied("root could be had back");
    } else if (capng_apply(CAPNG_SELECT_CAPS) != 0) {
        return denied("dropping capabilities failed");
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return denied(errno_text(errno));
    return {};
}

}  // namespace grl::bridge
