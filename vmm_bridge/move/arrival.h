// The target's side of a guest's move, for any VMM.
//
//     waiting ── stream ──► loading ──► arrived       it runs by the coordinator's word only
//        └─────────┴── fails, drop ──► gone           nothing of it is left
//
// Threads: the io_context's. Each act may be asked for again and has the one outcome.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/move/sealed_stream.h"

namespace grl::bridge {

namespace asio = boost::asio;

class GuestArrival : public std::enable_shared_from_this<GuestArrival> {
  public:
    enum class State { waiting, loading, arrived, gone };

    GuestArrival(asio::io_context& io, Driver& driver, ReceiveGuest order, GuestDefinition guest);

    void start(OpenedStream stream);  // from the source
    void await(Callback<Done> done) { arrived_.join(std::move(done)); }
    void drop(const std::string& reason, Callback<Done> done);

    std::uint32_t move() const { return order_.move; }
    const std::string& guest() const { return order_.guest; }
    const std::string& token() const { return order_.token; }
    State state() const { return state_; }
    // Nothing of it is left, and nobody waits for that.
    bool gone() const { return state_ == State::gone && (!drop_.begun() || drop_.done()); }

  private:
    Error error(const std::string& why) const;

    Driver& driver_;
    ReceiveGuest order_;
    GuestDefinition definition_;
    State state_ = State::waiting;
    Act<Done> arrived_;
    Act<Done> drop_;
    asio::steady_timer timer_;
};

}  // namespace grl::bridge
