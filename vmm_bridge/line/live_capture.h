// A guest's stream into its image while the guest runs, in the way of a move that ends here.
//
//     copying ── the VMM says copied ─► held ── freeze ─► stopping ─► stopped ── all of it ─► sent
//        └────────┴── it stands still by itself, fails, is cancelled ──┴──► failed
//
// Between held and freeze the job falls silent. Nothing is read from the VMM meanwhile, so what the
// guest has written is sent when it is silent; a VMM that has so little left that it stops the
// guest by itself has spoilt the capture, since the job was not silent then. After a failure the
// guest may stand still, and the driver's act is to be cancelled.
//
// Threads: the io_context's. Each act is asked for once; its callback comes once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "vmm_bridge/base/stream_pump.h"
#include "vmm_bridge/driver.h"

namespace grl::bridge {

class LiveCapture : public std::enable_shared_from_this<LiveCapture> {
  public:
    // `failed` comes when it fails between copy and freeze, while nothing is waited for. What fails
    // after freeze is told to freeze or finish: the guest may stand still for all others of a line.
    LiveCapture(asio::io_context& io, Driver& driver, std::string guest,
                std::function<void(const Error&)> failed);

    // The image's end of the stream.
    Result<Fd> open();
    void copy(Callback<Done> held);
    void freeze(Callback<std::int64_t> stopped);
    void finish(Callback<std::int64_t> sent);  // the stream is whole, and the guest stands still
    void cancel();                             // the VMM's next write fails

  private:
    enum class State { copying, held, stopping, stopped, sent, failed };
    void on_copied();
    void on_stopped();
    void settle();
    void fail_all(const Error& why);

    asio::io_context& io_;
    Driver& driver_;
    const std::string guest_;
    std::function<void(const Error&)> failed_;
    State state_ = State::copying;
    Fd vmm_;        // until copy()
    Fd width_;  // the same socket, to narrow and widen it; while it is there no end of it is seen
    std::shared_ptr<StreamPump> pump_;
    bool stopping_ = false;  // the VMM has stopped it, or was told to
    bool pumped_ = false;
    bool all_sent_ = false;
    Act<Done> held_;
    Act<std::int64_t> stopped_;
    Act<std::int64_t> sent_;
};

}  // namespace grl::bridge
