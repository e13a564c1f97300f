// The guest's clock. It stands still while the guest is saved, and a MUNGE credential is good for
// 300 s only, so it is put right before the first word to the coordinator: from the battery clock,
// which the VMM keeps at the host's time, and to the millisecond when the coordinator tells its
// own.
//
// Only changes of the battery clock against ours since the cut count, so its time zone and its own
// error do not matter. Not thread-safe; reading the battery clock takes up to a millisecond.
#pragma once

#include <cstdint>

namespace grl {

class GuestClock {
  public:
    virtual ~GuestClock() = default;
    // Remembers how both clocks stand; called at each drain.
    virtual void note() = 0;
    // Steps our clock if they have parted by more than 2 s since note().
    virtual void catch_up() = 0;
    // Steps our clock to `now_ns` of CLOCK_REALTIME if it is more than 100 ms off; only forward
    // unless `backward` too.
    virtual void step_to(std::int64_t now_ns, bool backward) = 0;
};

// Of this machine; needs root. Without /dev/rtc0 note() and catch_up() do nothing and log it once.
class MachineClock final : public GuestClock {
  public:
    void note() override;
    void catch_up() override;
    void step_to(std::int64_t now_ns, bool backward) override;

  private:
    bool read_gap(std::int64_t& gap_s);
    std::int64_t gap_s_ = 0;  // battery clock less ours, at note()
    bool noted_ = false;
    bool warned_ = false;
};

}  // namespace grl
