#include "coordinator/ctl/units.h"

#include <pwd.h>

#include <array>
#include <cstdio>
#include <ctime>
#include <vector>

namespace grl::coordinator {

namespace {

std::string format(const char* how, double value) {
    char text[48];
    snprintf(text, sizeof text, how, value);
    return text;
}

}  // namespace

std::string bytes_text(std::uint64_t bytes) {
    constexpr std::array units = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < units.size()) {
        value /= 1024;
        ++unit;
    }
    return format(unit == 0 || value >= 1000 ? "%.0f" : "%.1f", value) + " " + units[unit];
}

std::string mib_text(std::uint64_t mib) {
    return mib < 1024 ? std::to_string(mib) + " MiB" : bytes_text(mib << 20);
}

std::string ms_text(double ms) {
    return format(ms < 10 ? "%.2f" : ms < 100 ? "%.1f" : "%.0f", ms);
}

std::string duration_text(double ms) {
    if (ms < 1000) return format("%.0f ms", ms);
    if (ms < 60'000) return format("%.1f s", ms / 1000);
    const auto s = static_cast<long>(ms / 1000);
    return std::to_string(s / 60) + " min " + std::to_string(s % 60) + " s";
}

std::string rate_text(std::uint64_t bytes, std::int64_t ns) {
    if (ns <= 0) return "-";
    return format("%.0f", static_cast<double>(bytes) / (1 << 20) / (static_cast<double>(ns) / 1e9));
}

std::string time_text(std::int64_t wall_ns) {
    if (wall_ns == 0) return "-";
    const time_t seconds = wall_ns / 1'000'000'000;
    tm broken{};
    localtime_r(&seconds, &broken);
    char text[32];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &broken);
    return text;
}

std::string user_text(std::uint32_t uid) {
    std::vector<char> buffer(4096);
    passwd entry{};
    passwd* found = nullptr;
    if (getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found) {
        return entry.pw_name;
    }
    return std::to_string(uid);
}

}  // namespace grl::coordinator
