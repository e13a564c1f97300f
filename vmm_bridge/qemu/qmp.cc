#include "vmm_bridge/qemu/qmp.h"

#include <sys/socket.h>

#include <boost/asio/post.hpp>
#include <boost/asio/read_until.hpp>
#include <cerrno>
#include <cstring>
#include <istream>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kMaxLine = 16U << 20;  // bytes of one answer

std::int64_t number_at(const json::object& object, const char* key) {
    const json::value* v = object.if_contains(key);
    return v && v->is_int64() ? v->get_int64() : 0;
}

// QEMU's own time stamp, or ours where it has none (it says -1) or says one that cannot be.
std::int64_t time_of(const json::object& message) {
    constexpr std::int64_t kEnd_s = std::int64_t{1} << 33, kSecond_us = 1'000'000;
    const json::value* at = message.if_contains("timestamp");
    if (!at || !at->is_object()) return now_ns();
    const std::int64_t seconds = number_at(at->get_object(), "seconds");
    const std::int64_t microseconds = number_at(at->get_object(), "microseconds");
    const bool can_be = seconds >= 0 && seconds < kEnd_s && microseconds >= 0 && microseconds < kSecond_us;
    return can_be ? seconds * 1'000'000'000 + microseconds * 1000 : now_ns();
}

QmpEvent event_of(const json::object& message) {
    QmpEvent event;
    event.name = text_in(message, "event");
    if (const json::value* data = message.if_contains("data"); data && data->is_object()) {
        event.data = data->get_object();
    }
    event.at_ns = time_of(message);
    return event;
}

}  // namespace

std::string text_in(const json::value& object, const char* key) {
    const json::value* v = object.is_object() ? object.get_object().if_contains(key) : nullptr;
    return v && v->is_string() ? std::string(v->get_string()) : std::string();
}

Qmp::Qmp(asio::io_context& io, std::string path)
    : io_(io), path_(std::move(path)), socket_(io), input_(kMaxLine) {}

void Qmp::connect(asio::io_context& io, const std::string& path, Milliseconds limit,
                  Callback<std::shared_ptr<Qmp>> done) {
    auto qmp = std::make_shared<Qmp>(io, path);
    // A path that is too long for a socket address makes asio throw.
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        asio::post(io, [path, done = std::move(done)] {
            done(fail("connecting to QEMU's monitor", path, "the path is too long for a socket"));
        });
        return;
    }
    // A unix socket's connect does not wait: it is there or not.
    boost::system::error_code ec;
    qmp->socket_.connect(asio::local::stream_protocol::endpoint(path), ec);
    if (ec) {
        asio::post(io, [path, why = ec.message(), done = std::move(done)] {
            done(fail("connecting to QEMU's monitor", path, why));
        });
        return;
    }
    boost::system::error_code ignored;
    qmp->socket_.non_blocking(true, ignored);
    qmp->greet(limit, std::move(done));
}

// QEMU speaks first; until we have answered it takes no other command.
void Qmp::greet(Milliseconds limit, Callback<std::shared_ptr<Qmp>> done) {
    auto deadline = std::make_shared<asio::steady_timer>(io_, limit);
    deadline->async_wait([self = shared_from_this()](boost::system::error_code ec) {
        if (!ec && self->greeted_) self->die("no greeting came in time (has it another client?)");
    });
    greeted_ = [this, deadline, limit, done = std::move(done)](Result<Done> greeting) {
        deadline->cancel();
        if (!greeting) return done(greeting.error());
        execute("qmp_capabilities", {}, limit,
                [self = shared_from_this(), done](Result<json::value> reply) {
                    if (reply) return done(self);
                    self->close();
                    done(reply.error());
                });
    };
    read_next();
}

void Qmp::execute(const std::string& command, json::object arguments, Milliseconds limit,
                  Callback<json::value> done, Fd pass) {
    if (!open_) {
        asio::post(io_, [command, path = path_, done = std::move(done)] {
            done(fail("QEMU's " + command, path, "its monitor is closed", ErrorKind::unreachable));
        });
        return;
    }
    const std::uint64_t id = next_id_++;
    json::object message{{"execute", command}, {"id", id}};
    if (!arguments.empty()) message["arguments"] = std::move(arguments);

    auto deadline = std::make_unique<asio::steady_timer>(io_, limit);
    deadline->async_wait([weak = weak_from_this(), id, limit](boost::system::error_code ec) {
        auto self = weak.lock();
        if (ec || !self) return;
        self->settle(id, fail("", "", "no answer in " + std::to_string(limit.count()) + " ms",
                              ErrorKind::unreachable));
    });
    pending_[id] = {command, std::move(done), std::move(deadline)};
    outgoing_.push_back({json::serialize(message) + "\n", 0, std::move(pass)});
    send_next();
}

void Qmp::send_next() {
    if (sending_ || !open_) return;
    while (!outgoing_.empty()) {
        if (!send_some(outgoing_.front())) {
            if (errno != EAGAIN && errno != EINTR) {
                // Not from within execute(): its caller has not returned yet.
                asio::post(
                    io_, [self = shared_from_this(), why = errno_text(errno)] { self->die(why); });
                return;
            }
            sending_ = true;
            socket_.async_wait(asio::socket_base::wait_write,
                               [self = shared_from_this()](boost::system::error_code ec) {
                                   self->sending_ = false;
                                   if (!ec) self->send_next();
                               });
            return;
        }
        if (outgoing_.front().sent == outgoing_.front().text.size()) outgoing_.pop_front();
    }
}

// False with errno. The descriptor goes with the first byte.
bool Qmp::send_some(Outgoing& out) {
    iovec part{out.text.data() + out.sent, out.text.size() - out.sent};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    if (out.pass) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        const int fd = out.pass.get();
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    const ssize_t n = sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) return false;
    out.sent += static_cast<std::size_t>(n);
    out.pass.reset();
    return true;
}

void Qmp::read_next() {
    asio::async_read_until(
        socket_, input_, '\n',
        [self = shared_from_this()](boost::system::error_code ec, std::size_t) {
            if (!self->open_) return;
            if (ec) return self->die(ec == asio::error::eof ? "QEMU closed it" : ec.message());
            std::istream lines(&self->input_);
            std::string line;
            std::getline(lines, line);
            boost::system::error_code bad;
            json::value message = json::parse(line, bad);
            if (bad || !message.is_object()) return self->die("what came is no QMP");
            self->take(message.get_object());
            if (self->open_) self->read_next();
        });
}

void Qmp::take(const json::object& message) {
    if (message.contains("QMP")) {
        if (greeted_) std::exchange(greeted_, nullptr)(Done{});
    } else if (message.contains("event")) {
        if (handlers_.event) handlers_.event(event_of(message));
    } else {
        const auto id = static_cast<std::uint64_t>(number_at(message, "id"));
        if (const json::value* error = message.if_contains("error"); error && error->is_object()) {
            settle(id, fail("", "", text_in(*error, "desc")));
        } else if (const json::value* value = message.if_contains("return")) {
            settle(id, *value);
        } else {
            die("what came is no QMP");
        }
    }
}

void Qmp::settle(std::uint64_t id, Result<json::value> outcome) {
    auto at = pending_.find(id);
    if (at == pending_.end()) return;  // answered after its deadline
    Pending pending = std::move(at->second);
    pending_.erase(at);
    if (outcome) return pending.done(std::move(outcome));
    Error e = outcome.error();
    e.what = "QEMU's " + pending.command;
    e.where = path_;
    pending.done(e);
}

void Qmp::die(const std::string& why) {
    if (!open_) return;
    auto self = shared_from_this();
    close();
    const Error error = fail("QEMU's monitor", path_, why, ErrorKind::unreachable);
    if (greeted_) std::exchange(greeted_, nullptr)(error);
    while (!pending_.empty())
        settle(pending_.begin()->first, fail("", "", why, ErrorKind::unreachable));
    if (handlers_.closed) handlers_.closed(error);
}

void Qmp::close() {
    open_ = false;
    boost::system::error_code ignored;
    socket_.close(ignored);
    // Those that are still open are told on the next turn, as the caller may stand in one of them.
    asio::post(io_, [self = shared_from_this()] {
        while (!self->pending_.empty()) {
            self->settle(self->pending_.begin()->first,
                         fail("", "", "its monitor was closed", ErrorKind::unreachable));
        }
        self->handlers_ = {};
    });
}

}  // namespace grl::bridge
