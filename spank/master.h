// grl-master's part of a line, for one step on one node.
//
//                      all silent, proof good
//   open --Drain--> draining -------------> silent --Release--> open
//     ^                |                      |
//     |                | limit, bad proof,    | failsafe: as long without a word
//     |                | rank lost, Release   |
//     +----aborted-----+<---------------------+
//
// The job needs none of it: without a coordinator the gates stay or become open. Attempts count
// upward; what the master knows of them it keeps itself, not in the page, which is the user's.
// After a restore the whole of it is as it was at the cut, so it is `silent`, with a dead
// connection.
//
// Runs on the io_context's thread; nothing blocks.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>

#include "grl/messages/masters.h"
#include "spank/guest_clock.h"
#include "spank/line_page_file.h"
#include "spank/link.h"
#include "spank/silence.h"

namespace grl {

struct StepFacts {
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::string node;
    std::uint32_t nodes = 0;
    std::uint32_t ranks = 0;
    std::uint32_t local_ranks = 0;
    std::uint32_t uid = 0;
    std::uint32_t every_s = 0;
};

class Master {
  public:
    // nullptr: connected; else why not. Told of every try and loss.
    using Connected = std::function<void(const Error*)>;

    // All references must outlive the master. `rolled_back` is called when the job has been.
    Master(asio::io_context& io, StepFacts facts, LinePageFile& page, GuestClock& clock,
           Alive alive, Link::Connect connect, Connected connected,
           std::function<void()> rolled_back = {});
    // Opens the gates if they are shut.
    ~Master();

    void start() {
        page_.beat();
        link_.start();
    }
    void page_changed();  // for the watcher

  private:
    enum class State { open, draining, silent };

    void take(const std::string& type, const json::object& body, Channel::Responder responder);
    void drain(const Drain& order, Channel::Responder responder);
    void judge();
    void report_silent();
    void release(const Release& order, Channel::Responder responder);
    void open_gates(Outcome outcome);
    void abort(const std::string& why);
    void arm(std::uint32_t ms, std::function<void()> then);
    StepState state_of_step() const;
    void tell_state();
    void state_changed();

    StepFacts facts_;
    LinePageFile& page_;
    GuestClock& clock_;
    Alive alive_;
    Connected connected_;
    std::function<void()> rolled_back_;

    State state_ = State::open;
    std::uint32_t attempt_ = 0;
    std::uint32_t line_ = 0;
    std::uint32_t generation_ = 0;
    std::uint32_t failsafe_ms_ = 0;
    std::int64_t shut_at_ns_ = 0;
    std::int64_t shut_monotonic_ns_ = 0;
    std::optional<Channel::Responder> drain_;  // unanswered

    asio::steady_timer deadline_;  // of the state: draining's limit, silent's failsafe
    asio::steady_timer pause_;     // between two reports of the step's state
    bool pausing_ = false;
    std::optional<StepState> told_;
    Link link_;
};

}  // namespace grl
