#include "vmm_bridge/xen/loop.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace grl::bridge {

namespace {

constexpr int kAtOnce = 32;  // events

}  // namespace

static_assert(EPOLLIN == POLLIN && EPOLLOUT == POLLOUT && EPOLLPRI == POLLPRI &&
                  EPOLLERR == POLLERR && EPOLLHUP == POLLHUP,
              "poll's bits go through epoll as they are");

XenLoop::XenLoop(asio::io_context& io) : io_(io), set_(io) {}

Result<void> XenLoop::open(Occurred occurred) {
    Fd set(epoll_create1(EPOLL_CLOEXEC));
    if (!set) return fail("watching libxenlight's descriptors", "", errno_text(errno));
    occurred_ = std::move(occurred);
    set_.assign(set.release());
    wait();
    return {};
}

void XenLoop::close() {
    boost::system::error_code ignored;
    set_.close(ignored);
    watches_.clear();
    timeouts_.clear();
    occurred_ = {};
}

void XenLoop::hold() {
    held_ = true;
}

void XenLoop::go_on() {
    held_ = false;
    wait();
}

void XenLoop::drive(const std::function<bool()>& over, std::chrono::milliseconds limit) {
    pollfd set{set_.native_handle(), POLLIN, 0};
    while (!held_ && !over()) {
        const int ready = poll(&set, 1, static_cast<int>(limit.count()));
        if (ready == 0 || (ready < 0 && errno != EINTR)) return;
        if (ready > 0) dispatch();
    }
}

// ---- descriptors ----

std::uint64_t XenLoop::watch(int fd, short events, void* tag) {
    Fd own(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!own || !set_.is_open()) return 0;
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(events);
    event.data.u64 = ++last_;
    if (epoll_ctl(set_.native_handle(), EPOLL_CTL_ADD, own.get(), &event) != 0) return 0;
    watches_.emplace(last_, Watch{std::move(own), fd, events, tag});
    return last_;
}

bool XenLoop::change(std::uint64_t id, short events) {
    auto at = watches_.find(id);
    if (at == watches_.end()) return false;
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(events);
    event.data.u64 = id;
    const int set = set_.native_handle();
    const int own = at->second.fd.get();
    if (epoll_ctl(set, EPOLL_CTL_MOD, own, &event) != 0 &&
        (errno != ENOENT || epoll_ctl(set, EPOLL_CTL_ADD, own, &event) != 0)) {
        return false;
    }
    at->second.events = events;
    return true;
}

// The duplicate is not the last of its kind, so closing it would leave it in the set.
void XenLoop::forget(std::uint64_t id) {
    auto at = watches_.find(id);
    if (at == watches_.end()) return;
    epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, at->second.fd.get(), nullptr);
    watches_.erase(at);
}

void XenLoop::wait() {
    if (held_ || waiting_ || !set_.is_open()) return;
    waiting_ = true;
    set_.async_wait(asio::posix::stream_descriptor::wait_read,
                    [weak = weak_from_this()](boost::system::error_code ec) {
                        auto self = weak.lock();
                        if (ec || !self) return;
                        self->waiting_ = false;
                        self->dispatch();
                        self->wait();
                    });
}

void XenLoop::dispatch() {
    std::array<epoll_event, kAtOnce> events;
    const int count = epoll_wait(set_.native_handle(), events.data(), kAtOnce, 0);
    for (int i = 0; i < count && !held_; ++i) {
        // An earlier one of these may have ended it.
        auto at = watches_.find(events[static_cast<std::size_t>(i)].data.u64);
        if (at == watches_.end()) continue;
        const Watch& w = at->second;
        const auto occurred = static_cast<short>(events[static_cast<std::size_t>(i)].events);
        if (w.events == 0) {
            // A hang-up is told even to those who want nothing, for ever.
            epoll_ctl(set_.native_handle(), EPOLL_CTL_DEL, w.fd.get(), nullptr);
            continue;
        }
        occurred_.fd(w.tag, w.original, w.events, occurred);
    }
}

// ---- timers ----

std::uint64_t XenLoop::add_timeout(timeval at, void* tag) {
    timeval now{};
    gettimeofday(&now, nullptr);
    const auto in = std::chrono::seconds(at.tv_sec - now.tv_sec) +
                    std::chrono::microseconds(at.tv_usec - now.tv_usec);
    Timeout& timeout =
        timeouts_.emplace(++last_, Timeout{std::make_unique<asio::steady_timer>(io_), tag})
            .first->second;
    start(last_, timeout, std::max(in, std::chrono::microseconds(0)));
    return last_;
}

void XenLoop::expire(std::uint64_t id) {
    auto at = timeouts_.find(id);
    if (at != timeouts_.end()) start(id, at->second, std::chrono::microseconds(0));
}

void XenLoop::start(std::uint64_t id, Timeout& timeout, std::chrono::microseconds in) {
    timeout.timer->expires_after(in);
    timeout.timer->async_wait([weak = weak_from_this(), id](boost::system::error_code ec) {
        auto self = weak.lock();
        if (ec || !self) return;
        auto gone = self->timeouts_.extract(id);
        if (!gone.empty()) self->occurred_.timeout(gone.mapped().tag);
    });
}

}  // namespace grl::bridge
