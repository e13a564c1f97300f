#include "vmm_bridge/base/stream.h"

#include <sys/socket.h>

#include <cerrno>

namespace grl::bridge {

namespace {

constexpr int kBuffer = 4 << 20;  // bytes; measured best among 0.2, 1, 4 and 16 MiB

void enlarge(int fd) {
    // FORCE needs CAP_NET_ADMIN; without it the system's limit has to do.
    for (auto [force, plain] :
         {std::pair{SO_SNDBUFFORCE, SO_SNDBUF}, {SO_RCVBUFFORCE, SO_RCVBUF}}) {
        if (setsockopt(fd, SOL_SOCKET, force, &kBuffer, sizeof kBuffer) != 0) {
            setsockopt(fd, SOL_SOCKET, plain, &kBuffer, sizeof kBuffer);
        }
    }
}

}  // namespace

Result<StreamPair> open_stream_pair() {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail("opening a stream to the VMM", "", errno_text(errno));
    }
    StreamPair pair{Fd(ends[0]), Fd(ends[1])};
    enlarge(pair.vmm.get());
    enlarge(pair.bridge.get());
    return pair;
}

void widen(const Fd& end) {
    enlarge(end.get());
}

void narrow(const Fd& end) {
    const int least = 4096;  // the kernel raises it to what it can do with
    setsockopt(end.get(), SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
}

}  // namespace grl::bridge
