// What of the hypervisor a process in dom0 can reach: xen_reach [network|keeper]
//
// Each way to it with "reached" or why not: as it was started, or as what the network half or the
// stream keeper of a bridge becomes.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "grl/base/file.h"
#include "vmm_bridge/halves/confinement.h"
#include "vmm_bridge/halves/privileges.h"
#include "vmm_bridge/xen/api.h"

namespace {

void tell(const char* what, bool reached, const std::string& why) {
    std::printf("%s: %s\n", what, reached ? "reached" : why.c_str());
}

void open_device(const char* path) {
    const grl::Fd device(open(path, O_RDWR | O_CLOEXEC));
    tell(path, static_cast<bool>(device), grl::errno_text(errno));
}

void connect_to(const char* path) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    std::strncpy(name.sun_path, path, sizeof name.sun_path - 1);
    const grl::Fd to(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const bool reached =
        to && connect(to.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) == 0;
    tell(path, reached, grl::errno_text(errno));
}

void open_libxenlight() {
    xentoollog_logger* log =
        reinterpret_cast<xentoollog_logger*>(xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0));
    libxl_ctx* context = nullptr;
    libxl_physinfo facts;
    libxl_physinfo_init(&facts);
    int code = libxl_ctx_alloc(&context, LIBXL_VERSION, 0, log);
    if (code == 0) code = libxl_get_physinfo(context, &facts);
    tell("libxenlight", code == 0, "error " + std::to_string(code));
}

}  // namespace

int main(int argc, char** argv) {
    const std::string as = argc > 1 ? argv[1] : "";
    if (!as.empty()) {
        auto ready = grl::bridge::drop_privileges("nobody");
        if (ready) {
            ready = as == "keeper" ? grl::bridge::confine_stream_keeper()
                                   : grl::bridge::confine_network_half();
        }
        if (!ready) {
            std::fprintf(stderr, "xen_reach: %s\n", ready.error().text().c_str());
            return 1;
        }
    }
    for (const char* device :
         {"/dev/xen/privcmd", "/dev/xen/xenbus", "/dev/xen/evtchn", "/dev/xen/gntdev"}) {
        open_device(device);
    }
    connect_to("/run/xenstored/socket");
    open_libxenlight();
    std::fflush(stdout);
    _exit(0);
}
