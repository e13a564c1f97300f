// libxenlight's descriptors and timers on the bridge's event loop.
//
// The descriptors go into an epoll set of our own and the loop waits for that one: Asio makes what
// it watches non-blocking, and a save's stream is libxenlight's helper's, too, which must be able
// to wait in a write. Each registration has a duplicate, since libxenlight may register a
// descriptor twice.
//
// Threads: the io_context's. Ownership: shared, as handlers that are under way hold it. What is
// watched is libxenlight's; nothing is called for a registration that is gone.
#pragma once

#include <poll.h>
#include <sys/time.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>

#include "grl/base/file.h"

namespace grl::bridge {

namespace asio = boost::asio;

class XenLoop : public std::enable_shared_from_this<XenLoop> {
  public:
    // libxl_osevent_occurred_fd and …_timeout; never called inside a method of this class.
    struct Occurred {
        std::function<void(void* tag, int fd, short events, short occurred)> fd;
        std::function<void(void* tag)> timeout;
    };

    explicit XenLoop(asio::io_context& io);
    Result<void> open(Occurred occurred);
    // Nothing is called any more.
    void close();
    // Descriptors are not looked at until go_on(); what occurs meanwhile is told then.
    void hold();
    void go_on();
    // Blocks while things occur, until `over` or nothing has occurred for so long.
    void drive(const std::function<bool()>& over, std::chrono::milliseconds limit);

    // As libxl_osevent_hooks has them. Events are poll's. A registration is known by the number
    // that is given back, 0 if it failed.
    std::uint64_t watch(int fd, short events, void* tag);
    bool change(std::uint64_t watch, short events);
    void forget(std::uint64_t watch);
    std::uint64_t add_timeout(timeval at, void* tag);  // CLOCK_REALTIME; it is over when it occurs
    void expire(std::uint64_t timeout);                // as soon as possible

  private:
    struct Watch {
        Fd fd;         // the duplicate
        int original;  // what libxenlight calls it
        short events;
        void* tag;
    };
    struct Timeout {
        std::unique_ptr<asio::steady_timer> timer;
        void* tag;
    };

    void wait();
    void dispatch();
    void start(std::uint64_t id, Timeout& timeout, std::chrono::microseconds in);

    asio::io_context& io_;
    asio::posix::stream_descriptor set_;
    Occurred occurred_;
    bool held_ = false;
    bool waiting_ = false;
    std::uint64_t last_ = 0;
    std::map<std::uint64_t, Watch> watches_;
    std::map<std::uint64_t, Timeout> timeouts_;
};

}  // namespace grl::bridge
