// Guests that move from host to host: where they go, how many at once, and who may run one of which
// there are two.
//
// Where to: the connected host with most free memory that defines the guest alike, is not closed
// and has room; between equals the one with fewer guests of the same job (placement.h). One job's
// guests move one after the other, as each move takes a silence of the job; of others at most
// moves_at_once.
//
// Settling: a guest whose move was broken off may stand still twice, sent here and arrived there.
// Once no move of it is under way, and both hosts of the move have said what they have (which these
// are stands in the catalog before anything is sent):
//
//     runs somewhere             what is left of it elsewhere is destroyed
//     was given to the target    it runs there if it has arrived; nowhere else, ever
//     was not                    what has arrived is destroyed; then it runs where it was
//
// Where none of that can be, as the target had it and lost it, it stays as it is and the log says
// so: it may have run meanwhile, and what is left of it is old.
//
// Runs on the io_context's thread; does not block.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/lines/lines.h"
#include "coordinator/move/order.h"
#include "coordinator/move/run.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

class Moves {
  public:
    Moves(Parts parts, Lines& lines);

    // `host` may be empty. The watcher gets a report also of a move that failed; an error where
    // none began.
    void move(const std::string& guest, const std::string& host, const std::string& cause,
              Watcher<MoveReport> watcher);
    // All guests of a host, which is closed for others until reopen().
    void evacuate(const std::string& host, const std::string& cause,
                  std::function<void(const MoveReport&)> progress,
                  std::function<void(Result<MoveReports>)> done);
    void reopen(const std::string& host, std::function<void(Result<Done>)> done);
    bool is_closed(const std::string& host) const { return parts_.room.is_closed(host); }

    // No further one is begun, and what ends is not told: the coordinator ends.
    void stop();
    // What a host says of a move under way.
    void progress(const MoveProgress& progress);
    bool stopping() const { return stopping_; }
    bool is_under_way(const std::string& guest) const { return under_way_.count(guest) != 0; }

    // A host has come or says anew what it has.
    void settle();

  private:
    struct Ask {
        std::string guest, host, cause;
        Watcher<MoveReport> watcher;
    };
    void next();
    void begin(Ask ask);
    void depart(const Ask& ask, const MoveReport& report);
    void set_out(std::uint32_t job, MoveOrder order, Watcher<MoveReport> watcher);
    void set_out_alone(MoveOrder order, Watcher<MoveReport> watcher);
    void ended(const std::string& guest, const Result<MoveReport>& outcome,
               const Watcher<MoveReport>& watcher);
    Result<const Host*> choose(const Ask& ask, const Host& from, std::uint32_t job) const;
    static std::string room_owner(const std::string& guest);
    std::uint32_t job_on(const std::string& guest) const;
    void settle(const std::string& guest);
    void settle_given(const MoveReport& move);
    void settle_kept(const MoveReport& move);
    void puzzled(const std::string& guest, const std::string& why);
    void watch();
    bool all_said(const MoveReport& trip) const;
    void close_trips();
    template <class Message>
    void say(const Host& host, const std::string& guest, const Message& message,
             const std::string& what, std::function<void()> then);

    Parts parts_;
    Lines& lines_;
    std::deque<Ask> waiting_;
    std::map<std::string, std::string> under_way_;  // guest → its target; empty: not chosen yet
    std::map<std::string, MoveReport> trips_;       // that are not over, by guest
    std::map<std::uint32_t, std::shared_ptr<MoveRun>> runs_;  // by number
    std::set<std::string> settling_;
    std::set<std::string> puzzling_;  // said once
    bool known_ = false;  // trips_ and the closed hosts are the catalog's
    asio::steady_timer watch_;
    bool stopping_ = false;
    // The store answers later than we may live.
    std::shared_ptr<Moves*> self_ = std::make_shared<Moves*>(this);
};

// Why a guest does not move.
Error move_refusal(const std::string& guest, const std::string& why);

}  // namespace grl::coordinator
