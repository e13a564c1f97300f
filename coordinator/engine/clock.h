// The two clocks: wall time for what is written down, the steady one for how long something took.
#pragma once

#include <chrono>
#include <cstdint>

namespace grl::coordinator {

using Steady = std::chrono::steady_clock;

inline std::int64_t wall_ns() {  // CLOCK_REALTIME
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

inline double ms_between(Steady::time_point from, Steady::time_point to) {
    return std::chrono::duration<double, std::milli>(to - from).count();
}

inline double ms_since(Steady::time_point from) {
    return ms_between(from, Steady::now());
}

}  // namespace grl::coordinator
