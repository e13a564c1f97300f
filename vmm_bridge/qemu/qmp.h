// A client of QEMU's monitor protocol (QMP) on a unix socket.
//
//     connecting ──► greeted ──► ready ──► dead       any fault, end of file or deadline: dead
//
// Threads: the io_context's; nothing blocks. Commands are sent at once, one behind the other, and
// answered in any order; each has a deadline. When the monitor dies every open command gets an
// error, then `closed` comes. Keeps itself alive while it is open.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/streambuf.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "grl/base/file.h"
#include "grl/base/json.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/async.h"

namespace grl::bridge {

namespace asio = boost::asio;
using Milliseconds = std::chrono::milliseconds;

struct QmpEvent {
    std::string name;  // STOP, RESUME, MIGRATION, SHUTDOWN, …
    json::object data;
    std::int64_t at_ns = 0;  // QEMU's time stamp
};

// The text under `key`, empty if there is none.
std::string text_in(const json::value& object, const char* key);

class Qmp : public std::enable_shared_from_this<Qmp> {
  public:
    struct Handlers {
        std::function<void(const QmpEvent&)> event;
        std::function<void(const Error&)> closed;  // not after close()
    };

    // Done when capabilities are negotiated. A monitor serves one client: another's is an error
    // here.
    static void connect(asio::io_context& io, const std::string& path, Milliseconds limit,
                        Callback<std::shared_ptr<Qmp>> done);

    void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }

    // `pass` goes along as a descriptor (for getfd). The reply's "return", or an error whose text
    // is QEMU's.
    void execute(const std::string& command, json::object arguments, Milliseconds limit,
                 Callback<json::value> done, Fd pass = Fd());
    void close();
    bool is_open() const { return open_; }

    Qmp(asio::io_context& io, std::string path);

  private:
    struct Outgoing {
        std::string text;
        std::size_t sent = 0;
        Fd pass;
    };
    struct Pending {
        std::string command;
        Callback<json::value> done;
        std::unique_ptr<asio::steady_timer> deadline;
    };

    void greet(Milliseconds limit, Callback<std::shared_ptr<Qmp>> done);
    void send_next();
    bool send_some(Outgoing& out);
    void read_next();
    void take(const json::object& message);
    void settle(std::uint64_t id, Result<json::value> outcome);
    void die(const std::string& why);

    asio::io_context& io_;
    std::string path_;
    asio::local::stream_protocol::socket socket_;
    asio::streambuf input_;
    Handlers handlers_;
    std::function<void(Result<Done>)> greeted_;
    std::deque<Outgoing> outgoing_;
    std::map<std::uint64_t, Pending> pending_;
    std::uint64_t next_id_ = 1;
    bool sending_ = false;
    bool open_ = true;
};

}  // namespace grl::bridge
