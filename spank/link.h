// The master's line to the coordinator: kept up for ever, since the job does not need it to go on.
//
//   down --try--> connecting --opened--> up --lost--> down
//     ^               | failed
//     +---back-off----+        50 ms, doubled up to 2 s; anew from 50 ms when a connection had
//                              lasted for a second
//
// While up, a heartbeat goes out each `pace`: by it a restored master finds that its connection is
// of another life. Runs on the io_context's thread; nothing blocks but Hooks::before and encoding a
// credential (a millisecond).
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "grl/wire/channel.h"

namespace grl {

class Link {
  public:
    using Opened = std::function<void(Result<std::shared_ptr<Channel>>)>;
    using Connect = std::function<void(Opened)>;  // opens a channel, or fails, in bounded time
    struct Hooks {
        std::function<void()> before;  // each try
        std::function<void()> up;
        std::function<void(const Error&)> failed;  // a try, or the connection
        std::function<void(const std::string& type, const json::object&, Channel::Responder)>
            request;
        std::function<void(const std::string& type, const json::object&)> event;
        std::function<void()> tick;  // each pace, up or down
    };

    Link(asio::io_context& io, Connect connect, Hooks hooks);
    ~Link();
    void start();
    void set_pace(Milliseconds pace);

    bool up() const { return channel_ != nullptr; }
    // Dropped while down: whoever comes up tells all he knows.
    template <class Message>
    void send(const Message& message) {
        if (channel_) channel_->send(message);
    }

  private:
    void try_connect();
    void opened(Result<std::shared_ptr<Channel>> channel);
    void lost(const Error& why);
    void back_off(const Error& why);
    void beat();

    Connect connect_;
    Hooks hooks_;
    std::shared_ptr<Channel> channel_;
    asio::steady_timer retry_;
    asio::steady_timer heartbeat_;
    Milliseconds pace_;
    Milliseconds delay_;
    std::chrono::steady_clock::time_point up_since_;
    bool told_ = false;  // of this outage
    // Connect's callback may come after this object's end.
    std::shared_ptr<Link*> self_;
};

}  // namespace grl
