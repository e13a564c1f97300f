#include "grl/wire/channel.h"

#include <arpa/inet.h>

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/write.hpp>

namespace grl {

namespace {

constexpr std::size_t kReadChunk = 64U << 10;
// A peer that takes nothing for so many bytes is not listening.
constexpr std::size_t kMaxQueued = 64U << 20;

}  // namespace

Channel::Responder::Responder(std::weak_ptr<Channel> channel, std::uint64_t id)
    : channel_(std::move(channel)), id_(id) {}

Channel::Responder::~Responder() {
    if (id_ != 0 && !channel_.expired()) {
        error(fail("answering a request", "", "it was dropped unanswered"));
    }
}

void Channel::Responder::error(const Error& error) {
    json::object body;
    body["kind"] = static_cast<int>(error.kind);
    body["what"] = error.what;
    body["where"] = error.where;
    body["why"] = error.why;
    finish("error", std::move(body));
}

void Channel::Responder::finish(const char* type, json::object body) {
    send(type, std::move(body));
    id_ = 0;
}

void Channel::Responder::send(const char* type, json::object body) {
    if (id_ == 0) return;
    if (auto channel = channel_.lock()) channel->send_frame(type, id_, std::move(body));
}

Channel::Channel(Stream stream, std::string name)
    : stream_(std::move(stream)), name_(std::move(name)), read_buffer_(kReadChunk, '\0') {}

void Channel::start() {
    // Whole messages may already stand behind the handshake; the caller's frame is left first.
    asio::post(stream_.get_executor(), [self = shared_from_this()] {
        if (self->open_ && self->take_messages()) self->read_next();
    });
}

void Channel::request_raw(const std::string& type, json::object body, Milliseconds limit,
                          Reply done, Progress progress) {
    if (!open_) {
        // Never inside the call: the caller may not be ready for its callback.
        asio::post(stream_.get_executor(), [done = std::move(done), name = name_, type] {
            done(fail("asking " + name + " to " + type, "", "the connection is closed",
                      ErrorKind::unreachable));
        });
        return;
    }
    const std::uint64_t id = next_id_++;
    Pending pending{std::move(done), std::move(progress), type,
                    std::make_unique<asio::steady_timer>(stream_.get_executor(), limit)};
    pending.deadline->async_wait(
        [weak = weak_from_this(), id, limit](const boost::system::error_code& ec) {
            auto self = weak.lock();
            if (ec || !self) return;
            auto it = self->pending_.find(id);
            if (it == self->pending_.end()) return;
            self->settle(id, fail("asking " + self->name_ + " to " + it->second.type, "",
                                  "no answer within " + std::to_string(limit.count()) + " ms",
                                  ErrorKind::unreachable));
        });
    pending_.emplace(id, std::move(pending));
    send_frame(type, id, std::move(body));
}

void Channel::close(const Error& reason, bool reset) {
    if (!open_) return;
    open_ = false;
    boost::system::error_code ignored;
    if (reset) {
        const linger hard{1, 0};
        setsockopt(stream_.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    } else {
        stream_.shutdown(Stream::shutdown_both, ignored);
    }
    stream_.close(ignored);
    handlers_ = {};
    auto pending = std::move(pending_);
    pending_.clear();
    for (auto& [id, p] : pending) {
        p.deadline->cancel();
        p.done(
            fail("asking " + name_ + " to " + p.type, "", reason.text(), ErrorKind::unreachable));
    }
}

Result<Fd> Channel::detach() {
    open_ = false;
    if (!decoder_.empty()) {
        return fail("taking over a connection", name_, "it sent more than was asked for",
                    ErrorKind::protocol);
    }
    boost::system::error_code ec;
    Fd socket(stream_.release(ec));
    if (ec) return fail("taking over a connection", name_, ec.message());
    return socket;
}

std::string Channel::local_address() const {
    sockaddr_in name{};
    socklen_t size = sizeof name;
    char text[INET_ADDRSTRLEN] = "";
    const int socket = const_cast<Stream&>(stream_).native_handle();
    if (getsockname(socket, reinterpret_cast<sockaddr*>(&name), &size) != 0 ||
        name.sin_family != AF_INET) {
        return {};
    }
    return inet_ntop(AF_INET, &name.sin_addr, text, sizeof text) ? text : "";
}

void Channel::send_frame(const std::string& type, std::uint64_t id, json::object body) {
    if (!open_) return;
    json::object message;
    message["type"] = type;
    if (id != 0) message["id"] = id;
    message["body"] = std::move(body);
    Result<std::string> frame = encode_frame(message);
    if (!frame) {
        const Error why = frame.error();
        asio::post(stream_.get_executor(), [self = shared_from_this(), why] { self->die(why); });
        return;
    }
    queued_bytes_ += frame->size();
    if (queued_bytes_ > kMaxQueued) {
        asio::post(stream_.get_executor(), [self = shared_from_this()] {
            self->die(fail("sending to " + self->name_, "", "it does not take its messages",
                           ErrorKind::unreachable));
        });
        return;
    }
    write_queue_.push_back(std::move(*frame));
    if (write_queue_.size() == 1) write_next();
}

void Channel::write_next() {
    asio::async_write(
        stream_, asio::buffer(write_queue_.front()),
        [self = shared_from_this()](const boost::system::error_code& ec, std::size_t) {
            if (!self->open_) return;
            if (ec) {
                return self->die(
                    fail("sending to " + self->name_, "", ec.message(), ErrorKind::unreachable));
            }
            self->queued_bytes_ -= self->write_queue_.front().size();
            self->write_queue_.pop_front();
            if (!self->write_queue_.empty()) self->write_next();
        });
}

void Channel::read_next() {
    stream_.async_read_some(
        asio::buffer(read_buffer_),
        [self = shared_from_this()](const boost::system::error_code& ec, std::size_t n) {
            if (!self->open_) return;
            if (ec) {
                return self->die(
                    fail("reading from " + self->name_, "",
                         ec == asio::error::eof ? "it closed the connection" : ec.message(),
                         ErrorKind::unreachable));
            }
            self->decoder_.feed(std::string_view(self->read_buffer_).substr(0, n));
            if (self->take_messages()) self->read_next();
        });
}

// False when the channel has died meanwhile.
bool Channel::take_messages() {
    while (open_) {
        auto message = decoder_.next();
        if (!message) {
            Error why = message.error();
            why.what += " from " + name_;
            die(why);
            return false;
        }
        if (!*message) return true;
        take(std::move(**message));
    }
    return false;
}

void Channel::take(json::object message) {
    const json::value* type = message.if_contains("type");
    const json::value* id_value = message.if_contains("id");
    json::value* body = message.if_contains("body");
    boost::system::error_code ec;
    const std::uint64_t id = id_value ? id_value->to_number<std::uint64_t>(ec) : 0;
    if (!type || !type->is_string() || !body || !body->is_object() || ec) {
        return die(fail("reading from " + name_, "", "a message without type or body",
                        ErrorKind::protocol));
    }
    const std::string name(type->get_string());
    json::object content = std::move(body->get_object());
    if (name == "reply") return settle(id, std::move(content));
    if (name == "error") {
        auto text = [&](const char* key) {
            const json::value* v = content.if_contains(key);
            return v && v->is_string() ? std::string(v->get_string()) : std::string();
        };
        boost::system::error_code no_kind;
        const json::value* kind = content.if_contains("kind");
        const int number = kind ? kind->to_number<int>(no_kind) : 1;
        const bool known = !no_kind && number >= 1 && number <= 7;
        return settle(id, fail(text("what"), text("where"), text("why"),
                               known ? static_cast<ErrorKind>(number) : ErrorKind::failed));
    }
    if (name == "progress") {
        auto it = pending_.find(id);
        if (it != pending_.end() && it->second.progress) {
            const Progress progress = it->second.progress;  // it may settle its own request
            progress(content);
        }
        return;
    }
    const Handlers handlers = handlers_;  // a handler may close the channel
    if (id == 0) {
        if (handlers.event) handlers.event(name, content);
    } else if (handlers.request) {
        handlers.request(name, content, Responder(weak_from_this(), id));
    } else {
        Responder(weak_from_this(), id)
            .error(
                fail("answering " + name, "", "this peer takes no requests", ErrorKind::protocol));
    }
}

void Channel::settle(std::uint64_t id, Result<json::object> outcome) {
    auto node = pending_.extract(id);
    if (node.empty()) return;  // its deadline was first
    node.mapped().deadline->cancel();
    node.mapped().done(std::move(outcome));
}

void Channel::die(const Error& reason) {
    if (!open_) return;
    auto closed = std::move(handlers_.closed);
    close(reason);
    if (closed) closed(reason);
}

}  // namespace grl
