#include "vmm_bridge/host/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "grl/base/file.h"
#include "vmm_bridge/base/digest.h"
#include "vmm_bridge/host/nic.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kDigestPart = 8;  // digits

ifreq request_for(const std::string& name) {
    ifreq request{};
    name.copy(request.ifr_name, IFNAMSIZ - 1);
    return request;
}

Error error_of(const std::string& act, const std::string& name) {
    return fail(act, name, errno_text(errno));
}

// Opens the tap and makes it stay, or not, when it is closed.
Result<void> set_persistent(const std::string& tap, bool persistent) {
    Fd tun(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
    if (!tun) return error_of("opening /dev/net/tun", tap);
    ifreq request = request_for(tap);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(tun.get(), TUNSETIFF, &request) != 0) return error_of("making a tap", tap);
    if (ioctl(tun.get(), TUNSETPERSIST, persistent ? 1 : 0) != 0) {
        return error_of("keeping a tap", tap);
    }
    return {};
}

// A bridge takes on the lowest address among its ports: keep the tap's above all others, or the
// host's own address would change with every guest that comes and goes.
Result<void> set_address(int control, const std::string& tap, const std::string& guest_mac) {
    std::optional<Mac> address = parse_mac(guest_mac);
    if (!address) {
        return fail("making a tap", tap, "\"" + guest_mac + "\" is no MAC address",
                    ErrorKind::usage);
    }
    address->front() = 0xfe;
    ifreq request = request_for(tap);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    memcpy(request.ifr_hwaddr.sa_data, address->data(), address->size());
    if (ioctl(control, SIOCSIFHWADDR, &request) != 0) return error_of("addressing a tap", tap);
    return {};
}

Result<void> plug(int control, const std::string& tap, const std::string& bridge) {
    ifreq request = request_for(bridge);
    request.ifr_ifindex = static_cast<int>(if_nametoindex(tap.c_str()));
    // EBUSY: it is a port of a bridge already; of ours, as nobody else makes taps of this name.
    if (ioctl(control, SIOCBRADDIF, &request) != 0 && errno != EBUSY) {
        return error_of("plugging " + tap + " into a bridge", bridge);
    }
    return {};
}

Result<void> bring_up(int control, const std::string& tap) {
    ifreq request = request_for(tap);
    if (ioctl(control, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(control, SIOCSIFFLAGS, &request) == 0) return {};
    }
    return error_of("bringing a tap up", tap);
}

}  // namespace

std::string tap_name(const std::string& guest, std::size_t index) {
    const std::string prefix = "tap" + (index == 0 ? std::string() : std::to_string(index)) + "-";
    if (prefix.size() + guest.size() < IFNAMSIZ) return prefix + guest;
    return prefix + digest_of(guest).substr(0, kDigestPart);
}

Result<void> make_tap(const std::string& tap, const std::string& bridge,
                      const std::string& guest_mac) {
    if (bridge.empty() || bridge.size() >= IFNAMSIZ) {
        return fail("making a tap", tap, "\"" + bridge + "\" is no bridge", ErrorKind::usage);
    }
    Fd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!control) return error_of("opening a socket", tap);
    Result<void> ok = set_persistent(tap, true);
    if (!ok) return ok;
    ok = set_address(control.get(), tap, guest_mac);
    if (ok) ok = plug(control.get(), tap, bridge);
    if (ok) ok = bring_up(control.get(), tap);
    if (!ok) set_persistent(tap, false);
    return ok;
}

Result<void> remove_tap(const std::string& tap) {
    if (if_nametoindex(tap.c_str()) == 0) return {};
    return set_persistent(tap, false);
}

}  // namespace grl::bridge
