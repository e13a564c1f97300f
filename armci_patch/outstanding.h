// Which operations are outstanding, by target: what a fence or a wait completes. Private memory of
// the application's thread; the sums are in the gate's slot. Never too low: what cannot be told
// apart stays outstanding until an all-fence.
#pragma once

#include <cstddef>
#include <cstdint>

#include "armci_patch/library.h"

namespace grl {

class Outstanding {
  public:
    // Before the first operation; without it everything waits for an all-fence.
    void open(int ranks);
    void close();

    void wrote(int target) { ++of(target).writes; }
    void reads(int target, const armci_hdl_t* handle);

    // Each returns how many operations are complete by it.
    std::uint64_t fenced(int target);  // all to one target
    std::uint64_t fenced_all();
    std::uint64_t waited(int target);  // reads from one target
    std::uint64_t waited_all();
    std::uint64_t waited(const armci_hdl_t* handle);  // reads begun with one handle

  private:
    struct Target {
        std::uint64_t writes = 0;
        std::uint64_t reads = 0;
        std::uint32_t epoch = 0;  // bumped when all its reads are complete
    };
    // Reads begun with an explicit handle since they last were complete.
    struct Handle {
        const armci_hdl_t* handle = nullptr;
        int target = 0;
        std::uint32_t epoch = 0;
        std::uint64_t reads = 0;
    };
    static constexpr std::size_t kHandles = 256;  // direct-mapped: a clash forgets the older one

    Target& of(int target);
    Handle& entry(const armci_hdl_t* handle);
    static std::uint64_t take(std::uint64_t& count);

    Target* targets_ = nullptr;
    int ranks_ = 0;
    Target elsewhere_;  // targets out of range
    Handle handles_[kHandles];
};

}  // namespace grl
