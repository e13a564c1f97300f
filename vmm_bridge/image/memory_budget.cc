#include "vmm_bridge/image/memory_budget.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace grl::bridge {

std::uint64_t available_memory() {
    std::ifstream info("/proc/meminfo");
    constexpr std::string_view key = "MemAvailable:";
    for (std::string line; std::getline(info, line);) {
        if (line.starts_with(key))
            return std::strtoull(line.c_str() + key.size(), nullptr, 10) << 10;
    }
    return 0;
}

MemoryBudget::Share MemoryBudget::take(std::uint64_t wanted, std::size_t sharers) {
    // What earlier shares have filled is no longer available either; it counts twice, on the safe
    // side.
    const std::uint64_t half = available_() / 2;
    const std::uint64_t left = half - std::min(half, taken_->load());
    const std::uint64_t part = left / std::max<std::size_t>(sharers, 1);
    auto share = std::make_unique<std::uint64_t>(std::max(kLeastShare, std::min(wanted, part)));
    *taken_ += *share;
    return {share.release(), [taken = taken_](const std::uint64_t* bytes) {
                *taken -= *bytes;
                delete bytes;
            }};
}

}  // namespace grl::bridge
