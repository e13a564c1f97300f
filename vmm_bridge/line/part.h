// This host's part of one line: its guests, from prepare to the last durable image.
//
//     preparing ► prepared ► freezing ► frozen ► capturing ► captured ► resuming ► resumed ► over
//         └──────────┴───────────┴─────────┴──────────┴──────────┴──────────┴─► aborting ► aborted
//
// and prepared ► copying ► copied ► freezing where a guest is captured live.
//
// Each act may be asked for again, while it runs or afterwards, and has the one outcome. A part
// that holds guests still and hears nothing is aborted by itself (Limits). Threads: the
// io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/image/line_store.h"
#include "vmm_bridge/line/guest_capture.h"

namespace grl::bridge {

class LinePart : public std::enable_shared_from_this<LinePart> {
  public:
    enum class State {
        preparing,
        prepared,
        copying,
        copied,
        freezing,
        frozen,
        capturing,
        captured,
        resuming,
        resumed,
        over,
        aborting,
        aborted,
    };
    struct Events {
        std::function<void(const LineProgress&)> progress;
        std::function<void(const GuestDurable&)> durable;
        std::function<void(const GuestFailed&)> failed;
    };

    LinePart(asio::io_context& io, Driver& driver, LineStore store, LineId id, Events events);

    // One for each guest, before prepare. `bytes` bounds its image.
    void add(GuestCapture::Plan plan, std::uint64_t bytes);

    void prepare(Callback<Done> done);
    void copy(Callback<Done> done);
    // A hold lasts `hold`; 0: it is none.
    void freeze(std::chrono::seconds hold, Callback<FrozenLine> done);
    void capture(Callback<CapturedLine> done);
    void resume(Callback<Done> done);
    void abort(const std::string& reason, Callback<Done> done);

    LineId id() const { return id_; }
    State state() const { return state_; }
    bool holds(const std::string& guest) const;
    bool copies() const;  // known when prepared: copy() is wanted
    bool keeps_images() const { return keeps_images_; }
    bool active() const { return state_ < State::over || state_ == State::aborting; }
    // Asks something of the guests or keeps them from running.
    bool acts_on_guests() const { return state_ >= State::copying && state_ <= State::resuming; }
    bool holding_still() const { return state_ >= State::freezing && state_ <= State::resuming; }
    const std::string& abort_reason() const { return abort_reason_; }
    std::vector<std::string> guests() const;

  private:
    // True if the act that ends may go on: the part was not aborted meanwhile.
    bool advance(State from, State to);
    void undo(std::int64_t until_ms);
    void on_undone(std::int64_t until_ms, const Result<Done>& undone);
    void discard(Callback<Done> done);
    void on_settled();
    void report_progress();

    asio::io_context& io_;
    Driver& driver_;
    LineStore store_;
    LineId id_;
    Events events_;
    State state_ = State::preparing;
    std::vector<std::shared_ptr<GuestCapture>> guests_;
    std::uint64_t wanted_bytes_ = 0;
    bool keeps_images_ = false;  // a hold keeps none, and touches no storage
    Act<Done> prepare_;
    Act<Done> copy_;
    Act<FrozenLine> freeze_;
    Act<CapturedLine> capture_;
    Act<Done> resume_;
    Act<Done> abort_;
    std::string abort_reason_;
    asio::steady_timer progress_timer_;
    asio::steady_timer hold_timer_;
};

}  // namespace grl::bridge
