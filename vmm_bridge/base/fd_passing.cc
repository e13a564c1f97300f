#include "vmm_bridge/base/fd_passing.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace grl::bridge {

namespace {

union Control {  // aligned as a control message must be
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

}  // namespace

Result<std::pair<Fd, Fd>> open_passing_pair() {
    int ends[2];
    // Packets: each carries one descriptor.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail("opening a socket to pass descriptors", "", errno_text(errno));
    }
    return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<void> pass_fd(int through, int fd, const std::string& label) {
    std::string text = label.substr(0, kMostLabel);
    if (text.empty()) text = "-";  // an empty packet is the peer's end
    iovec part{text.data(), text.size()};
    Control words{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = words.bytes;
    message.msg_controllen = sizeof words;
    words.header.cmsg_level = SOL_SOCKET;
    words.header.cmsg_type = SCM_RIGHTS;
    words.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&words.header), &fd, sizeof fd);
    if (sendmsg(through, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        return fail("passing a descriptor", label, errno_text(errno));
    }
    return {};
}

Result<std::optional<Passed>> take_fd(int through) {
    char text[kMostLabel];
    iovec part{text, sizeof text};
    Control words{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = words.bytes;
    message.msg_controllen = CMSG_LEN(sizeof(int));  // one: what is more the kernel closes
    ssize_t n = 0;
    do {
        n = recvmsg(through, &message, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return fail("taking a descriptor", "", errno_text(errno));
    if (n == 0) return std::optional<Passed>();
    Passed passed{std::string(text, static_cast<std::size_t>(n)), Fd()};
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
        passed.fd = Fd(fd);
    }
    return std::optional<Passed>(std::move(passed));
}

}  // namespace grl::bridge
