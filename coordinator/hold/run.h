// One hold on its way: does what its table says (table.h), with the bridges and masters that take
// part.
//
//   coordinator           bridges (all at once)        masters (all at once)
//   prepare     ─────────► prepare_line
//   drain       ─────────────────────────────────────► drain … silent
//   freeze      ─────────► freeze_line … frozen_line            ┐
//   capture     ─────────► capture_line, if it keeps a line     │
//   hold_images ◄───────── guest_durable                        │ the job stands still
//   hold_manifest ───────► commit_line (one bridge)             │
//   hold          until it is let go                            │
//   release     ─────────► resume_line … done ────────► release ┘
//
// Whatever it does with the guests stopped is over when the hold would be.
#pragma once

#include <functional>
#include <string>

#include "coordinator/engine/clock.h"
#include "coordinator/hold/table.h"
#include "coordinator/lines/capture_base.h"
#include "coordinator/lines/job_table_run.h"
#include "grl/messages/questions.h"

namespace grl::coordinator {

class HoldRun : public JobTableRun<HoldState, HoldEvent, CaptureBase> {
  public:
    // The guests stand still; the manifest where a line is kept.
    using Held = std::function<void(const HeldJob&, const Manifest*)>;

    HoldRun(const JobSetting& setting, const HoldJob& ask, JobHooks hooks, Held held);
    void abandon() override;
    void let_go();  // ends it, or calls it off before it has begun

    void cancel(const std::string& why) override;
    Joining joining() const override { return Joining::refused; }
    Yielding yield(const std::string& why) override;
    void hand_over(const std::string& why) override;
    void bridge_away(const std::string& name, const std::string& why) override;
    void guest_died(const std::string& guest, const std::string& reason) override;

    bool keeps_line() const override { return ask_.checkpoint; }
    bool line_stands() const override { return line_stands_; }
    std::string condition() const override;

  private:
    void act() override;
    std::optional<Milliseconds> state_limit() const override;
    std::string late_text() const override;
    Result<void> shape(LineOrder& order, const JobFacts& facts) override;
    void image_lost(const std::string& why) override { fire(HoldEvent::image_failed, why); }
    bool storing() const override { return state() == HoldState::hold_images; }

    void hold();
    void warn_later(Milliseconds time);
    void ends();
    void part(const std::string& reason);
    void end();
    Milliseconds left_of_it() const;

    HoldJob ask_;
    Held held_;
    std::uint32_t limit_s_ = 0;
    std::uint32_t slurmd_timeout_s_ = 0;
    Steady::time_point freezing_;  // the limit counts from here
    bool leaving_ = false;         // it is to end when it begins
    bool line_stands_ = false;
    std::string lost_;  // who died while its line was committed
};

// How long a hold may last that is asked for with `asked_s` (0: as long as possible), or why it may
// not.
Result<std::uint32_t> hold_limit(std::uint32_t job, std::uint32_t asked_s,
                                 std::uint32_t slurmd_timeout_s);

}  // namespace grl::coordinator
