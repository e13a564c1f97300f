// The book of jobs: which run a job is under, one at a time, and when it takes lines: on request,
// by timer; what becomes of them afterwards. Holds and moves begin their runs here, too.
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

#include "coordinator/engine/watcher.h"
#include "coordinator/lines/job_run.h"
#include "coordinator/lines/parts.h"
#include "grl/messages/lines.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

class Lines {
  public:
    explicit Lines(Parts parts) : parts_(parts) {}
    ~Lines();

    void request(std::uint32_t job, Watcher<LineReport> watcher);
    // Silence and release alone; put off while a line of the job is under way.
    void rehearse(std::uint32_t job, Watcher<LineReport> watcher);

    // The one under way; null: none.
    std::shared_ptr<JobRun> of(std::uint32_t job) const;
    std::vector<std::shared_ptr<JobRun>> all() const;
    std::vector<LineId> active() const;

    // The step is there or has changed: its timer, if it asks for one.
    void step_changed(const Step& step);
    // The job takes no lines while `why` is not empty.
    void hold_off(std::uint32_t job, const std::string& why);
    std::string held_off(std::uint32_t job) const;
    // Calls back, at once or later, when no run of the job is under way.
    void when_idle(std::uint32_t job, std::function<void()> then);
    // Forgets a job that has no step any more.
    void job_gone(std::uint32_t job);

    // ---- for runs of other kinds ----

    // How the run ended, for those who wait for it; may say it in other words. Before they are
    // told.
    using Ending = std::function<Result<LineReport>(const LineReport&, Result<LineReport>)>;
    // Whether one may begin now: the job has a step, no run, and is not held off.
    Result<void> is_free(std::uint32_t job) const;
    JobSetting setting() const;
    JobHooks hooks(std::uint32_t job);
    void begin(std::uint32_t job, std::shared_ptr<JobRun> run, Ending ending);
    // Of no job; drop() ends it.
    void begin_alone(const std::shared_ptr<JobRun>& run);
    void drop(const std::shared_ptr<JobRun>& run) { std::erase(alone_, run); }
    // Is told of the end of the run that is under way.
    void watch(std::uint32_t job, Watcher<LineReport> watcher);
    // In the catalog, and older lines of the job go.
    void commit(const Manifest& manifest, const LineReport& report,
                const std::function<void()>& then);
    // The report of a run that is over, though guests may stand still. Until the next run begins.
    std::optional<LineReport>& parted(std::uint32_t job) { return jobs_[job].parted; }

  private:
    struct Job {
        std::shared_ptr<JobRun> run;
        Ending ending;
        std::vector<Watcher<LineReport>> now, next;
        std::vector<std::function<void()>> idle;
        std::optional<LineReport> parted;
        std::string held_off;
        std::uint32_t every_s = 0;
        std::unique_ptr<asio::steady_timer> timer;
        std::string last_refusal;
    };

    Result<void> takes_lines(std::uint32_t job) const;
    void admit(std::uint32_t job, const Shape& shape,
               const std::function<void(Result<LineOrder>)>& then);
    void number(std::uint32_t job, const Shape& shape, const JobFacts& facts,
                const std::function<void(Result<LineOrder>)>& then);
    Result<LineOrder> order(std::uint32_t job, const Shape& shape, const JobFacts& facts);
    void note_committed(const Manifest& manifest, const LineReport& report,
                        const std::function<void()>& then);
    void ended(std::uint32_t job, const LineReport& report, const Manifest* manifest);
    void settle(std::uint32_t job, const LineReport& report);
    Result<LineReport> line_ended(std::uint32_t job, const LineReport& report,
                                  Result<LineReport> outcome);
    void arm(std::uint32_t job, std::chrono::milliseconds after);
    void tick(std::uint32_t job);
    void retire_old(std::uint32_t job);

    Parts parts_;
    std::map<std::uint32_t, Job> jobs_;
    std::vector<std::shared_ptr<JobRun>> alone_;
};

// That a run of the job is put off, or can never be.
Error put_off(std::uint32_t job, const std::string& why);
Error no_step(std::uint32_t job);

// The job's one step that can take a line now, or why there is none.
Result<Step*> line_step(Steps& steps, const Hosts& hosts, std::uint32_t job);

// Who takes part in a line of the step, on a job that has these nodes.
Result<LineOrder> line_order(const Step& step, const Hosts& hosts,
                             const std::vector<std::string>& job_nodes);

}  // namespace grl::coordinator
