// One line on its way: does what its table says (table.h), with the bridges and masters that take
// part.
//
//   coordinator           bridges (all at once)        masters (all at once)
//   prepare     ─────────► prepare_line
//   copy        ─────────► copy_line, where a guest is captured live
//   drain       ─────────────────────────────────────► drain … silent
//   freeze      ─────────► freeze_line … frozen_line            ┐
//   capture     ─────────► capture_line … captured_line         │ the job stands still
//   release     ─────────► resume_line … done ────────► release ┘
//   images      ◄───────── guest_durable
//   manifest    ─────────► commit_line (one bridge)
//
// Runs on the io_context's thread; nothing blocks.
#pragma once

#include <set>
#include <string>

#include "coordinator/lines/capture_base.h"
#include "coordinator/lines/job_table_run.h"
#include "coordinator/lines/table.h"

namespace grl::coordinator {

class LineRun : public JobTableRun<LineState, LineEvent, CaptureBase> {
  public:
    LineRun(const JobSetting& setting, std::uint32_t job, JobHooks hooks);

    Joining joining() const override;
    Yielding yield(const std::string& why) override;
    bool keeps_line() const override { return true; }

  protected:
    void act() override;
    Result<void> shape(LineOrder& order, const JobFacts&) override { return can_be_kept(order); }
    void image_lost(const std::string& why) override { fire(LineEvent::image_failed, why); }
    bool storing() const override { return state() == LineState::images; }

  private:
    void prepare_all();
    void copy();
    void end();

    std::string capture_;                  // the method, as configured
    std::set<std::string> copying_hosts_;  // have guests that are captured live
};

// How long a line's guests may stand still by these.
std::uint32_t standing_s(const Deadlines& deadlines);

// Silence and release alone, without bridges: nothing is kept of it.
class Rehearsal : public LineRun {
  public:
    using LineRun::LineRun;
    Joining joining() const override { return Joining::next_line; }
    bool replaces_periodic() const override { return false; }
    bool keeps_line() const override { return false; }

  private:
    Result<void> shape(LineOrder& order, const JobFacts& facts) override;
};

}  // namespace grl::coordinator
