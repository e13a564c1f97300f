#include "vmm_bridge/halves/stream_keeper.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "grl/base/log.h"
#include "vmm_bridge/base/fd_passing.h"
#include "vmm_bridge/halves/child.h"
#include "vmm_bridge/halves/confinement.h"
#include "vmm_bridge/halves/privileges.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kDrainStep = 1U << 20;

// False when the bridge is gone.
bool receive(int control, std::vector<Fd>& streams) {
    Result<std::optional<Passed>> passed = take_fd(control);
    if (!passed || !*passed) return false;
    if ((*passed)->fd) streams.push_back(std::move((*passed)->fd));
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

int run(const Fd& control, const std::string& user) {
    Result<void> dropped = drop_privileges(user);
    if (dropped) dropped = confine_stream_keeper();
    if (!dropped) log_warning("the stream keeper: " + dropped.error().text());
    std::vector<Fd> streams;
    hold(control.get(), streams);
    if (!streams.empty()) {
        log_warning("the bridge has ended while guests were being captured: draining " +
                    std::to_string(streams.size()) + " streams, so that they can go on");
        drain(streams);
        log_info("all streams are drained");
    }
    return 0;
}

}  // namespace

Result<StreamKeeper> StreamKeeper::start(const std::string& user) {
    Result<std::pair<Fd, Fd>> ends = open_passing_pair();
    if (!ends) return ends.error();
    auto [ours, its] = std::move(*ends);
    Result<void> started = start_child("the stream keeper", [&ours = ours, &its = its, &user] {
        ours.reset();
        return run(its, user);
    });
    if (!started) return started.error();
    return StreamKeeper(std::move(ours));
}

void StreamKeeper::keep(int stream) {
    Result<void> passed = pass_fd(control_.get(), stream, "stream");
    if (!passed) log_warning("the stream keeper: " + passed.error().text());
}

}  // namespace grl::bridge
