#include "vmm_bridge/stream_keeper.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "grl/log.h"
#include "vmm_bridge/privileges.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kDrainStep = 1U << 20;

union Control {  // aligned as a control message must be
    cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

// False when the bridge is gone.
bool receive(int control, std::vector<Fd>& streams) {
    char byte = 0;
    iovec part{&byte, 1};
    Control words{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = words.bytes;
    message.msg_controllen = sizeof words;
    const ssize_t n = recvmsg(control, &message, MSG_CMSG_CLOEXEC);
    if (n < 0) return errno == EINTR;
    if (n == 0) return false;
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_type == SCM_RIGHTS) {
        int fd = -1;
        memcpy(&fd, CMSG_DATA(header), sizeof fd);
        streams.emplace_back(fd);
    }
    return true;
}

void hold(int control, std::vector<Fd>& streams) {
    for (;;) {
        std::vector<pollfd> polled{{control, POLLIN, 0}};
        for (const auto& stream : streams) polled.push_back({stream.get(), POLLRDHUP, 0});
        if (poll(polled.data(), polled.size(), -1) < 0) continue;
        for (std::size_t i = polled.size(); i-- > 1;) {
            if (polled[i].revents != 0) streams.erase(streams.begin() + static_cast<long>(i) - 1);
        }
        if (polled[0].revents != 0 && !receive(control, streams)) return;
    }
}

void drain(std::vector<Fd>& streams) {
    std::vector<char> buffer(kDrainStep);
    while (!streams.empty()) {
        std::vector<pollfd> polled;
        polled.reserve(streams.size());
        for (const auto& stream : streams) polled.push_back({stream.get(), POLLIN, 0});
        if (poll(polled.data(), polled.size(), -1) < 0) continue;
        for (std::size_t i = polled.size(); i-- > 0;) {
            if (polled[i].revents == 0) continue;
            const ssize_t n = read(streams[i].get(), buffer.data(), buffer.size());
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
                streams.erase(streams.begin() + static_cast<long>(i));
            }
        }
    }
}

[[noreturn]] void run(Fd control, const std::string& user) {
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    Result<void> dropped = drop_privileges(user);
    if (!dropped) log_warning("the stream keeper: " + dropped.error().text());
    std::vector<Fd> streams;
    hold(control.get(), streams);
    if (!streams.empty()) {
        log_warning("the bridge has ended while guests were being captured: draining " +
                    std::to_string(streams.size()) + " streams, so that they can go on");
        drain(streams);
        log_info("all streams are drained");
    }
    _exit(0);
}

}  // namespace

Result<StreamKeeper> StreamKeeper::start(const std::string& user) {
    int ends[2];
    // Packets: each carries one descriptor.
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail("starting the stream keeper", "", errno_text(errno));
    }
    Fd ours(ends[0]);
    Fd its(ends[1]);
    const pid_t child = fork();
    if (child < 0) return fail("starting the stream keeper", "", errno_text(errno));
    if (child == 0) {
        ours.reset();
        run(std::move(its), user);
    }
    return StreamKeeper(std::move(ours));
}

void StreamKeeper::keep(int stream) {
    char byte = 0;
    iovec part{&byte, 1};
    Control words{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = words.bytes;
    message.msg_controllen = sizeof words;
    words.header.cmsg_level = SOL_SOCKET;
    words.header.cmsg_type = SCM_RIGHTS;
    words.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&words.header), &stream, sizeof stream);
    if (sendmsg(control_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        log_warning("the stream keeper does not take a stream: " + errno_text(errno));
    }
}

}  // namespace grl::bridge
