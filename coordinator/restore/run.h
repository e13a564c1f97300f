// One restore on its way: does what its table says (table.h). The stages stand in stages.cc, which
// hosts are lost and their end in fence.cc, the masters' way back in rejoin.cc.
// Runs on the io_context's thread; nothing blocks.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "coordinator/cluster/placement.h"
#include "coordinator/engine/clock.h"
#include "coordinator/engine/table_run.h"
#include "coordinator/lines/lines.h"
#include "coordinator/restore/table.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

// Whether a line of another life of the job number may be laid over this one. Not even its owner may
// lay it over another user's job.
enum class OtherLife { refused, own, any };

class RestoreRun : public TableRun<RestoreState, RestoreEvent> {
  public:
    struct Hooks {
        std::function<void(const RestoreReport&)> progress;
        std::function<void(Result<RestoreReport>)> ended;  // once
    };

    // The last committed line if none is given.
    RestoreRun(Parts parts, Lines& lines, std::uint32_t job, std::optional<std::uint32_t> line,
               OtherLife other_life, Hooks hooks);
    void start() override;
    void abandon() override;

    void host_away(const std::string& host, const std::string& why);
    void guest_died(const std::string& guest, const std::string& reason);
    // A master of the job that has joined its step; only while it takes masters.
    void master_joined(const std::shared_ptr<Channel>& channel, const StepState& master);

    JobReport job_report() const;

  private:
    void left(RestoreState state) override;
    void entered() override;
    void act() override;
    std::optional<Milliseconds> state_limit() const override;
    std::string late_text() const override;
    void refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                 const Error& error) override;

    // One per stage, in the order in which they run.
    void wait();
    void check();
    void look();
    void place();
    void verify();
    void fence();
    void raise();
    void destroy();
    void restore();
    void resume();
    void rejoin();
    void clean();
    void end();

    void refuse(const std::string& why, ErrorKind kind = ErrorKind::refused);
    void check_manifest(Manifest manifest);
    void check_job(const JobFacts& facts);
    std::string other_life(const JobFacts& facts);  // why the line is not this job's, or nothing
    void again(std::function<void()> look);  // soon, in the same stage
    void await_lost();
    bool cannot_fence(const std::set<std::string>& lost);  // and so refused
    bool gone_meanwhile();                                 // and so refused
    void verified(const VerifiedLine& verified);
    void judge();  // what verify has brought
    void no_line(const Error& error);
    void destroy_all();
    void destroy_on(const Host& host);
    void note_restored(const RestoredGuests& restored);
    void rejoined(const StepState& master, const Result<Done>& done);
    template <class Reply, class Message>
    void ask_host(const std::string& host, const Message& message,
                  std::function<void(const Reply&)> take = {});

    std::set<std::string> lost_hosts(HostCondition condition) const;
    std::string owner() const { return "restore of job " + std::to_string(job_); }
    std::vector<PlacementGuest> needs() const;
    std::map<std::string, std::vector<std::string>> by_host() const;
    std::string home(const ManifestGuest& guest) const;

    Parts parts_;
    Lines& lines_;
    std::uint32_t job_;
    std::optional<std::uint32_t> line_;
    OtherLife other_life_;
    std::uint32_t before_ = 0;  // only lines before this one; 0: any
    std::string damage_;        // of the line that is verified
    Hooks hooks_;
    RestoreReport report_;
    ErrorKind kind_ = ErrorKind::failed;

    Manifest manifest_;
    std::map<std::string, std::string> places_;  // guest → host, where it was last
    std::map<std::string, std::set<std::string>> suspects_;  // where they may run, by the catalog
    std::map<std::string, std::string> plan_;    // guest → host, where it goes
    std::uint32_t generation_ = 0;
    std::set<std::string> rejoined_;
    std::map<std::string, std::weak_ptr<Channel>> released_;  // node → asked on this channel
    std::uint32_t step_nodes_ = 0;
    // That have joined before all guests run with all that is theirs.
    std::vector<std::pair<std::shared_ptr<Channel>, StepState>> waiting_;

    Steady::time_point began_, stage_began_;
    asio::steady_timer poll_;
};

}  // namespace grl::coordinator
