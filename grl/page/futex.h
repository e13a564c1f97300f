// Futexes on the words of the line page and of the gate. Shared words cross processes, private ones
// only threads. A wait returns on a wake, a changed word, its time-out, a signal, or for no reason:
// callers look at their condition again. No C++ runtime is needed.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdint>

namespace grl {

enum class Reach { process, node };  // who may wake: threads of this process, all of the node

inline std::int64_t monotonic_ns() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * std::int64_t{1000000000} + now.tv_nsec;
}

// Sleeps while `word` is `seen`, at most `nanoseconds` (negative: without limit).
inline void futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t seen, Reach reach,
                       std::int64_t nanoseconds = -1) {
    timespec span{};
    span.tv_sec = nanoseconds / 1000000000;
    span.tv_nsec = nanoseconds % 1000000000;
    syscall(SYS_futex, &word, reach == Reach::node ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, seen,
            nanoseconds < 0 ? nullptr : &span, nullptr, 0);
}

inline void futex_wake(const std::atomic<std::uint32_t>& word, Reach reach) {
    syscall(SYS_futex, &word, reach == Reach::node ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, INT_MAX,
            nullptr, nullptr, 0);
}

}  // namespace grl
