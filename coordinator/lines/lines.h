// When a job takes lines: on request, by timer, one at a time; what becomes of them afterwards.
//
// A request joins a line whose cut lies ahead, else waits for the next one. A job that cannot take
// a line now puts the request off with the reason (ErrorKind::refused). Lines of different jobs do
// not wait for each other. Runs on the io_context's thread; does not block.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster/steps.h"
#include "coordinator/engine/watcher.h"
#include "coordinator/lines/run.h"
#include "coordinator/slurm/view.h"
#include "coordinator/store/store.h"
#include "coordinator/store/sweep.h"
#include "grl/messages/lines.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

// What lines and restores are made with. All of it outlives them.
struct Parts {
    asio::io_context& io;
    const CoordinatorConfig& config;
    Hosts& hosts;
    Steps& steps;
    SlurmView& slurm;
    Store& store;
    Sweep& sweep;
};

class Lines {
  public:
    explicit Lines(Parts parts) : parts_(parts) {}
    ~Lines();

    void request(std::uint32_t job, Watcher<LineReport> watcher);
    // Silence and release alone; put off while a line of the job is under way.
    void rehearse(std::uint32_t job, Watcher<LineReport> watcher);
    // Silence, and guests that stand still for at most `limit_s` (0: as long as Slurm allows).
    // Refused while a line of the job is under way, and where Slurm would give the nodes up.
    void hold(const HoldJob& ask, Watcher<HeldJob> watcher);
    // Ends the job's hold; the watcher is told when the job goes on.
    void let_go(std::uint32_t job, Watcher<LineReport> watcher);
    // A guest to another host, with a silence of the job that runs on it (0: none is protected).
    // After the line under way, if any; refused while the job is held or restored. The watcher gets
    // a report also of a move that fails, and an error where none began.
    void move(std::uint32_t job, MoveOrder order, Watcher<MoveReport> watcher);
    std::shared_ptr<LineRun> of_move(std::uint32_t move) const;
    // The one under way; null: none.
    std::shared_ptr<LineRun> of(std::uint32_t job) const;
    std::vector<std::shared_ptr<LineRun>> all() const;
    std::vector<LineId> active() const;

    // The step is there or has changed: its timer, if it asks for one.
    void step_changed(const Step& step);
    // The job takes no lines while `why` is not empty.
    void hold_off(std::uint32_t job, const std::string& why);
    // Calls back, at once or later, when no line of the job is under way.
    void when_idle(std::uint32_t job, std::function<void()> then);
    // Forgets a job that has no step any more.
    void job_gone(std::uint32_t job);

  private:
    void free_parted(std::uint32_t job, Watcher<LineReport> watcher);

    struct Job {
        std::shared_ptr<LineRun> run;
        std::vector<Watcher<LineReport>> now, next;
        std::optional<Watcher<HeldJob>> holder;  // until it is held
        HoldJob hold;                            // what was asked for
        std::optional<LineReport> parted;        // a hold that is over, but guests may stand still
        std::optional<Watcher<MoveReport>> mover;
        std::optional<MoveOrder> moving;
        std::vector<std::function<void()>> idle;
        std::string held_off;
        std::uint32_t every_s = 0;
        std::unique_ptr<asio::steady_timer> timer;
        std::string last_refusal;
    };

    void begin(std::uint32_t job, LineKind kind);
    void admit(std::uint32_t job, LineKind kind, std::function<void(Result<LineOrder>)> then);
    LineRun::Hooks hooks(std::uint32_t job, LineKind kind);
    std::shared_ptr<LineRun> make(std::uint32_t job, LineKind kind, LineRun::Hooks hooks);
    void move_alone(MoveOrder order, Watcher<MoveReport> watcher);
    void admit_move(std::uint32_t job, std::function<void(Result<LineOrder>)> then);
    Result<LineOrder> order(std::uint32_t job, LineKind kind, const JobFacts& facts);
    void note_committed(const Manifest& manifest, const LineReport& report,
                        const std::function<void()>& then);
    void ended(std::uint32_t job, const LineReport& report, const Manifest* manifest);
    void settle(std::uint32_t job, const LineReport& report);
    void arm(std::uint32_t job, std::chrono::milliseconds after);
    void tick(std::uint32_t job);
    void retire_old(std::uint32_t job);

    Parts parts_;
    std::map<std::uint32_t, Job> jobs_;
    std::map<std::uint32_t, std::shared_ptr<LineRun>> alone_;  // moves of no job, by number
};

// The job's one step that can take a line now, or why there is none.
Result<Step*> line_step(Steps& steps, const Hosts& hosts, std::uint32_t job);

// How long a hold may last that is asked for with `asked_s` (0: as long as possible), or why it may
// not.
Result<std::uint32_t> hold_limit(std::uint32_t job, std::uint32_t asked_s,
                                 std::uint32_t slurmd_timeout_s);

// Who takes part in a line of the step, on a job that has these nodes.
Result<LineOrder> line_order(const Step& step, const Hosts& hosts,
                             const std::vector<std::string>& job_nodes);

}  // namespace grl::coordinator
