// The agent: one thread in each rank that answers the master's attempts. It calls the fence and
// never the communication library.
//
//            attempt                 quiet             all quiet            closed
//   running ---------> draining ------------> fencing -----------> silent ---------> running
//                         | closed first: marked refused ^  | closed meanwhile ---------^
//   any fence over, leave asked for: leaving (rounds of the fence) -> left
//   a fence has failed: no further one, as it might match others' earlier ones; every attempt is
//   refused at once, and leave goes straight to left
#pragma once

#include <pthread.h>

#include <memory>
#include <string>
#include <vector>

#include "grl/page/gate.h"
#include "pmix_hooks/fence.h"

namespace grl {

class Agent {
  public:
    // `page` and `gate` outlive the agent. `slot` is this rank's; slot 0 leads its node.
    Agent(LinePage& page, std::uint32_t slot, Gate& gate, std::unique_ptr<Fence> fence);
    ~Agent();  // withdraws if it still runs

    // Claims the slot, connects the gate, starts the thread. An error's text, or empty.
    std::string start();
    // Whom a slot of the page belongs to already, or empty.
    static std::string slot_taken(LinePage& page, std::uint32_t slot);

    // For the application's thread: ends the agent and opens the gate for good. Blocks; with
    // `agreed` until all ranks of the step have called it, polling the transport meanwhile.
    void leave(bool agreed);

    // A further gate of this process, which passes with the first from here on, and lets go again.
    void follow(Gate& gate);
    void unfollow(Gate& gate);

    // In a fork's child, which has no agent: the gates let everything through and touch no page.
    static void disconnect(Gate& lead);

  private:
    enum Ending : std::uint32_t { kStay = 0, kAgreed = 1, kWithdraw = 2 };

    void connect(Gate& gate);
    static void reset(Gate& gate);
    static void* run(void* self);
    void serve_attempts();
    void serve(std::uint32_t attempt);
    // Enters the next fence with this value; with `look`, values_ are read at its end.
    std::string fence(const FenceValue& value, bool look);
    void foresee();
    bool conclude(std::uint32_t attempt);
    void refuse();
    void leave_in_rounds();
    void report_leaving();
    void write_proof(std::uint32_t attempt, bool proven, std::uint32_t bad_rank,
                     const std::string& reason, const struct Proof* sums);
    void show_state(RankState state);
    void set_state(RankState state);
    void settle(RankState state);
    bool last_to_settle() const;
    void call_master();
    bool leads() const { return index_ == 0; }

    LinePage& page_;
    const std::uint32_t index_;
    Gate& gate_;
    RankSlot& slot_;
    const std::unique_ptr<Fence> fence_;

    std::uint32_t attempt_ = 0;  // the last one served
    std::uint32_t round_ = 0;    // fences entered
    std::uint32_t refused_ = 0;  // the last attempt that was over before this rank was quiet
    std::uint32_t doubt_ = 0;    // why, where it was no lack of time
    FenceValue given_;
    std::string broken_;  // why there are no more fences; empty: there are
    std::vector<FenceValue> values_;
    std::unique_ptr<bool[]> present_;

    pthread_t thread_{};
    bool started_ = false;
    std::atomic<std::uint32_t> ending_{kStay};
    std::atomic<std::uint32_t> ended_{0};  // the leaving thread waits here
};

}  // namespace grl
