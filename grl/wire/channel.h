// A channel: one authenticated connection on which both sides send messages, requests and replies.
//
// Threads: all of it runs on the io_context's one thread; no call blocks. Ownership: shared; a
// channel keeps itself alive while it is open. Every request has a deadline, after which its callback
// gets an error; when the channel closes, all open requests get one. Callbacks come once.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "grl/base/file.h"
#include "grl/base/json.h"
#include "grl/wire/frame.h"

namespace grl {

namespace asio = boost::asio;
using Stream = asio::generic::stream_protocol::socket;  // TCP, or a socketpair inside a bridge
using Milliseconds = std::chrono::milliseconds;

class Channel : public std::enable_shared_from_this<Channel> {
  public:
    // Answers one request. May be kept and called later; called at most once; calls after the
    // channel has closed are dropped. A responder that is dropped unanswered answers with an error.
    class Responder {
      public:
        Responder(std::weak_ptr<Channel> channel, std::uint64_t id);
        Responder(Responder&&) = default;
        Responder& operator=(Responder&&) = default;
        Responder(const Responder&) = delete;
        ~Responder();

        template <class Message>
        void reply(const Message& body) {
            finish("reply", to_object(body));
        }
        void error(const Error& error);
        template <class Message>
        void result(const Result<Message>& outcome) {
            outcome ? reply(*outcome) : error(outcome.error());
        }
        template <class Message>
        void progress(const Message& body) {
            send("progress", to_object(body));
        }
        bool open() const { return id_ != 0 && !channel_.expired(); }

      private:
        void finish(const char* type, json::object body);
        void send(const char* type, json::object body);
        std::weak_ptr<Channel> channel_;
        std::uint64_t id_ = 0;
    };

    struct Handlers {
        // A message without an id.
        std::function<void(const std::string& type, const json::object& body)> event;
        // A message that wants a reply.
        std::function<void(const std::string& type, const json::object& body, Responder)> request;
        // Once, when the channel is dead by itself (not by close()); the reason.
        std::function<void(const Error&)> closed;
    };
    using Reply = std::function<void(Result<json::object>)>;
    using Progress = std::function<void(const json::object&)>;

    // `name` is the peer's, for errors. Set handlers, then start().
    Channel(Stream stream, std::string name);
    void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }
    void start();

    // Bytes that came behind the handshake, to be read first.
    void feed(FrameDecoder decoder) { decoder_ = std::move(decoder); }

    template <class Message>
    void send(const Message& message) {
        send_frame(Message::kType, 0, to_object(message));
    }

    // `done` gets the reply's body as a Message, or an error.
    template <class ReplyMessage, class Message>
    void request(const Message& message, Milliseconds limit,
                 std::function<void(Result<ReplyMessage>)> done, Progress progress = {}) {
        request_raw(Message::kType, to_object(message), limit,
                    [done = std::move(done)](Result<json::object> body) {
                        if (!body) return done(body.error());
                        done(from_json<ReplyMessage>(*body, ReplyMessage::kType));
                    },
                    std::move(progress));
    }
    void request_raw(const std::string& type, json::object body, Milliseconds limit, Reply done,
                     Progress progress = {});

    // No callback of this channel comes after close(), but for its open requests, which get `reason`
    // before close() returns. `reset` ends the connection with a RST: what the peer has in flight
    // belongs to a life that is over (a rolled-back guest).
    void close(const Error& reason, bool reset = false);
    bool is_open() const { return open_; }
    // The socket of a channel that was not started, for something else than messages; the channel
    // is closed then. Fails if bytes have come that nobody has read.
    Result<Fd> detach();
    // Of this end, where it is TCP.
    std::string local_address() const;
    const std::string& name() const { return name_; }

  private:
    struct Pending {
        Reply done;
        Progress progress;
        std::string type;
        std::unique_ptr<asio::steady_timer> deadline;
    };
    friend class Responder;

    void send_frame(const std::string& type, std::uint64_t id, json::object body);
    void write_next();
    void read_next();
    bool take_messages();
    void take(json::object message);
    void settle(std::uint64_t id, Result<json::object> outcome);
    void die(const Error& reason);

    Stream stream_;
    std::string name_;
    Handlers handlers_;
    FrameDecoder decoder_;
    std::string read_buffer_;
    std::deque<std::string> write_queue_;
    std::size_t queued_bytes_ = 0;
    std::map<std::uint64_t, Pending> pending_;
    std::uint64_t next_id_ = 1;
    bool open_ = true;
};

}  // namespace grl
