// A run: one pass through a state table, with others that are asked and answer. Here is what does
// not depend on the table (table_run.h has the rest): whom the current state awaits, its deadline,
// and its epoch, by which whatever comes after the state is known to be late and passed over.
//
// Runs on the io_context's thread; nothing blocks. A run is shared; what it asks does not keep it
// alive.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "grl/base/result.h"
#include "grl/wire/channel.h"

namespace grl::coordinator {

// What a part's own deadline is allowed to be late by, so that its reason reaches us first.
inline constexpr Milliseconds kGrace{500};

class Run : public std::enable_shared_from_this<Run> {
  public:
    virtual ~Run() = default;
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    virtual void start() = 0;
    // Nothing is done or told any more: the owner ends.
    virtual void abandon() { leave_state(); }
    virtual bool over() const = 0;
    virtual const std::string& reason()
        const = 0;  // the first that turned it back; empty: none did

  protected:
    explicit Run(asio::io_context& io) : io_(io), deadline_(io) {}

    // What the kinds fill in, in the order of the calls when a state is entered: its own
    // book-keeping, what the state does (it may raise events: they are taken afterwards), and who
    // is told of it.
    virtual void entered() {}
    virtual void act() = 0;
    virtual void tell() {}

    virtual void all_answered() = 0;                  // the last awaited one has
    virtual void failed(const std::string& why) = 0;  // a part said no
    // An asked one's answer is an error; while `channel` is open it is its own word.
    virtual void refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                         const Error& error) = 0;
    // The limit of the state has passed; the text says what did not come.
    virtual void late(const std::string& text) = 0;
    virtual std::string late_text() const = 0;

    asio::io_context& io() { return io_; }

    // ---- of the current state only ----

    void leave_state();
    // The limit of the state counts from now.
    void arm(Milliseconds limit);
    // In place of the limit; `then` is passed over if the state has been left.
    void after(Milliseconds time, std::function<void()> then);
    Milliseconds limit() const { return limit_; }

    void await(const std::string& who) { awaited_.insert(who); }
    bool awaits(const std::string& who) const { return awaited_.count(who) != 0; }
    std::size_t awaited() const { return awaited_.size(); }
    void forget(const std::string& who) { awaited_.erase(who); }
    void answered(const std::string& who);  // forgets it, and tells if it was the last
    // Behind the last ask(): a state that found nobody to ask is done with.
    void all_asked() {
        if (awaited_.empty()) all_answered();
    }
    std::string awaited_names() const;  // "h1, h2"

    // A callback that is passed over once the state has been left or the run is gone.
    template <class Then>
    auto here(Then then) {
        return [weak = weak_from_this(), epoch = epoch_,
                then = std::move(then)](auto&&... args) mutable {
            auto self = weak.lock();
            if (self && self->epoch_ == epoch) then(std::forward<decltype(args)>(args)...);
        };
    }

    // Awaits `who`, and hands `take` (may be null) what it replies.
    template <class Reply, class Message>
    void ask(const std::string& who, const std::shared_ptr<Channel>& channel,
             const Message& message, std::function<void(const Reply&)> take = {}) {
        await(who);
        channel->request<Reply>(
            message, limit_ + 2 * kGrace,
            here([this, who, channel, take = std::move(take)](const Result<Reply>& reply) {
                if (!reply) return refused(who, channel, reply.error());
                const auto epoch = epoch_;
                if (take) take(*reply);
                if (epoch_ == epoch) answered(who);
            }));
    }

  private:
    asio::io_context& io_;
    asio::steady_timer deadline_;
    Milliseconds limit_{0};
    std::uint64_t epoch_ = 0;
    std::set<std::string> awaited_;
};

}  // namespace grl::coordinator
