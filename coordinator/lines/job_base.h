// What a line, a hold and a move do alike: they are admitted, bring the job's ranks to silence with
// proof, and let them go on. A master is told according to how the gates stand (job_table.h).
#pragma once

#include <string>

#include "coordinator/lines/job_run.h"
#include "coordinator/lines/job_table.h"
#include "coordinator/lines/record.h"

namespace grl::coordinator {

class JobBase : public JobRun {
  public:
    void abandon() override;

    void master_away(const std::string& node, const std::string& why) override;
    void master_says(const StepState& said) override;
    bool master_back(const std::shared_ptr<Channel>& channel, const StepState& said) override;

    LineId id() const override { return order_.id; }
    bool owns(const StepState& said) const override;
    const LineReport& report() const override { return record_.report(); }

  protected:
    JobBase(const JobSetting& setting, std::uint32_t job, JobHooks hooks);

    // How the state stands in the kind's table (job_table_run.h).
    virtual Gates gates() const = 0;
    virtual bool undoing() const = 0;  // whatever is refused, this goes on
    virtual void bridge_lost(const std::string& why) = 0;
    virtual void master_lost(const std::string& why) = 0;

    // What is the kind's own in its admission, and in who may be told that it is released.
    virtual Result<void> shape(LineOrder&, const JobFacts&) { return {}; }
    virtual Result<LineOrder> admitted(Result<LineOrder> order) { return order; }
    virtual bool may_release(const LineMember&) const { return true; }

    void admit();
    void drain(std::uint32_t drain_ms, std::uint32_t failsafe_ms);
    void release_member(const LineMember& member, bool aborted);
    void release_all(bool aborted);
    // The last state: `stands` is the manifest of a line that is committed.
    void finish(bool done, const Manifest* stands);

    void refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                 const Error& error) override;
    void tell() override;
    void tell_later();  // soon, and not more often

    JobHooks hooks_;
    LineRecord record_;
    LineOrder order_;

  private:
    void silent(const std::string& node, const Silent& said);
    bool tell_back(const LineMember& member, const StepState& said);

    asio::steady_timer tell_later_;
    bool telling_later_ = false;
};

}  // namespace grl::coordinator
