// How much host memory the guests' streams may fill while they wait for the storage.
//
// A guest that stands still until its stream is out stands still for as long as the storage takes
// for what does not fit in memory. But a host that runs out of memory loses a guest, or the bridge
// in the middle of a line. So all streams of a bridge together may have half of what is available,
// and each has kLeastShare, with which it gets on at the storage's pace.
//
// Threads: take() on one; a share may go away on any.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

namespace grl::bridge {

inline constexpr std::uint64_t kLeastShare = 64U << 20;  // bytes

std::uint64_t available_memory();  // bytes; source: MemAvailable in /proc/meminfo, 0 without

class MemoryBudget {
  public:
    using Share = std::shared_ptr<const std::uint64_t>;  // bytes; given back with its last owner

    explicit MemoryBudget(std::function<std::uint64_t()> available = available_memory)
        : available_(std::move(available)) {}

    // For one of `sharers` that ask one after the other, with one less each time.
    Share take(std::uint64_t wanted, std::size_t sharers);

  private:
    std::function<std::uint64_t()> available_;
    std::shared_ptr<std::atomic<std::uint64_t>> taken_ =
        std::make_shared<std::atomic<std::uint64_t>>(0);
};

}  // namespace grl::bridge
