#include "grl/base/log.h"

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

namespace grl {

namespace {

std::string program_name = "grl";
LogLevel least_level = LogLevel::info;

const char* label(LogLevel level) {
    switch (level) {
        case LogLevel::debug: return "debug";
        case LogLevel::info: return "info";
        case LogLevel::warning: return "warning";
        case LogLevel::error: return "error";
    }
    return "?";
}

}  // namespace

void log_start(std::string_view program, LogLevel least) {
    program_name = program;
    least_level = least;
}

void log(LogLevel level, std::string_view text) {
    if (level < least_level) return;
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    tm broken{};
    gmtime_r(&now.tv_sec, &broken);
    char stamp[48];
    const std::size_t n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &broken);
    snprintf(stamp + n, sizeof stamp - n, ".%06ldZ", now.tv_nsec / 1000);
    std::string line = std::string(stamp) + " " + program_name + " " + label(level) + ": ";
    for (char c : text) line += c == '\n' ? ' ' : c;
    line += '\n';
    // One write, so that lines of several threads and processes do not mix.
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace grl
