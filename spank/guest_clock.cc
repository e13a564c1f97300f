#include "spank/guest_clock.h"

#include <fcntl.h>
#include <linux/rtc.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <string>

#include "grl/base/file.h"
#include "grl/base/log.h"
#include "grl/base/result.h"

namespace grl {
namespace {

constexpr const char* kDevice = "/dev/rtc0";
constexpr std::int64_t kTolerance_s = 2;  // the battery clock tells whole seconds
constexpr std::int64_t kTolerance_ns = 100'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t realtime_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * kSecond + now.tv_nsec;
}

void step_by(std::int64_t ns) {
    const std::int64_t to = realtime_ns() + ns;
    timespec time{};
    time.tv_sec = to / kSecond;
    time.tv_nsec = to % kSecond;
    const bool done = clock_settime(CLOCK_REALTIME, &time) == 0;
    const std::string change = std::to_string(ns / 1'000'000) + " ms";
    if (done) {
        log_info("clock stepped by " + change);
    } else {
        log_error("clock not stepped by " + change + ": " + errno_text(errno));
    }
}

}  // namespace

bool MachineClock::read_gap(std::int64_t& gap_s) {
    const Fd device(open(kDevice, O_RDONLY | O_CLOEXEC));
    rtc_time fields{};
    if (!device || ioctl(device.get(), RTC_RD_TIME, &fields) != 0) {
        if (!warned_) {
            log_warning(std::string("no battery clock (") + kDevice + ": " + errno_text(errno) +
                        "): the clock is put right by the coordinator only");
        }
        warned_ = true;
        return false;
    }
    tm broken{};
    broken.tm_sec = fields.tm_sec;
    broken.tm_min = fields.tm_min;
    broken.tm_hour = fields.tm_hour;
    broken.tm_mday = fields.tm_mday;
    broken.tm_mon = fields.tm_mon;
    broken.tm_year = fields.tm_year;
    gap_s = timegm(&broken) - realtime_ns() / kSecond;
    return true;
}

void MachineClock::note() {
    noted_ = read_gap(gap_s_);
}

void MachineClock::catch_up() {
    std::int64_t gap_s = 0;
    if (!noted_ || !read_gap(gap_s)) return;
    if (std::abs(gap_s - gap_s_) > kTolerance_s) step_by((gap_s - gap_s_) * kSecond);
}

void MachineClock::step_to(std::int64_t now_ns, bool backward) {
    const std::int64_t behind = now_ns - realtime_ns();
    if (now_ns <= 0 || (behind < 0 && !backward)) return;
    if (std::abs(behind) > kTolerance_ns) step_by(behind);
}

}  // namespace grl
