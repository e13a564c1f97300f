// The source's side of a guest's move, for any VMM.
//
//     waiting ─ stream ─► copying ── first pass over ──► held ── switch_over ──► switching ──►
//     moved
//        │                   └──── the VMM was quicker ────┴────────────────────────┘            │
//        └───────────┴───────────────┴── drop ──► dropping ──► dropped: the guest runs here ◄────┘
//     any ── the VMM or the other host fails ──► dropping
//
// The stream is held back from the end of the first pass on, so that the VMM does not find so
// little left that it stops the guest before its job is silent. A guest that has moved stands still
// until the coordinator has it destroyed or says drop. Threads: the io_context's. Each act may be
// asked for again and has the one outcome.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/stream_pump.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/move/sealed_stream.h"

namespace grl::bridge {

class GuestDeparture : public std::enable_shared_from_this<GuestDeparture> {
  public:
    enum class State { waiting, copying, held, switching, moved, dropping, dropped };
    using Progress = std::function<void(const MoveProgress&)>;

    GuestDeparture(asio::io_context& io, Driver& driver, SendGuest order, Progress progress);

    // `stream` leads to the other host.
    void start(OpenedStream stream);
    void await_copied(Callback<Precopied> done) { copied_.join(std::move(done)); }
    void switch_over(Callback<Switched> done);
    void drop(const std::string& reason, Callback<Done> done);

    std::uint32_t move() const { return order_.move; }
    const std::string& guest() const { return order_.guest; }
    const std::string& token() const { return order_.token; }
    State state() const { return state_; }
    bool active() const { return state_ < State::moved || state_ == State::dropping; }

  private:
    void on_copied();
    void on_stopped();
    void on_sent(const Result<std::int64_t>& at);
    void on_pumped(const Result<Done>& pumped);
    void settle_moved();
    void let_run();
    void report();
    std::uint64_t sent_bytes() const { return pump_ ? pump_->bytes() : 0; }

    asio::io_context& io_;
    Driver& driver_;
    SendGuest order_;
    Progress progress_;
    State state_ = State::waiting;
    std::shared_ptr<StreamPump> pump_;
    Fd width_;  // the VMM's end, to narrow and widen it; while it is there no end of it is seen
    std::optional<std::int64_t> stopped_at_ns_;
    bool pumped_ = false;
    Act<Precopied> copied_;
    Act<Switched> switched_;
    Act<Done> drop_;
    std::string reason_;  // of a drop
    asio::steady_timer timer_;
};

}  // namespace grl::bridge
