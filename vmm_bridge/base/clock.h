// The times that go into messages: nanoseconds of CLOCK_REALTIME. For durations, milliseconds of
// CLOCK_MONOTONIC.
#pragma once

#include <cstdint>
#include <ctime>

namespace grl::bridge {

inline std::int64_t nanoseconds_of(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}
inline std::int64_t now_ns() {
    return nanoseconds_of(CLOCK_REALTIME);
}
inline std::int64_t monotonic_ms() {
    return nanoseconds_of(CLOCK_MONOTONIC) / 1'000'000;
}

}  // namespace grl::bridge
