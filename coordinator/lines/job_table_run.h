// Joins what runs share (job_base.h, capture_base.h) with a table of one's own: the events that
// every such table has, and its column of the gates.
#pragma once

#include <string>

#include "coordinator/engine/table_run.h"
#include "coordinator/lines/job_base.h"

namespace grl::coordinator {

template <class State, class Event, class Base>
class JobTableRun : public TableRun<State, Event, Base, JobStateRow<State>> {
  public:
    void cancel(const std::string& why) override { this->fire(Event::cancel, why); }

  protected:
    JobTableRun(const StateTable<State, Event, JobStateRow<State>>& table,
                const JobSetting& setting, std::uint32_t job, JobHooks hooks)
        : TableRun<State, Event, Base, JobStateRow<State>>(table, setting.deadlines, setting, job,
                                                           std::move(hooks)) {}

    void entered() override {
        if (!this->over()) this->record_.enter(this->row().phase);
    }
    Gates gates() const override { return this->row().gates; }
    bool undoing() const override { return this->machine().takes(Event::all_undone); }
    void bridge_lost(const std::string& why) override { this->fire(Event::bridge_lost, why); }
    void master_lost(const std::string& why) override { this->fire(Event::master_lost, why); }
};

}  // namespace grl::coordinator
