// The collecting fence as the agent sees it: every rank gives a value, nobody returns before all
// have entered, then all values can be read. PMIx in a job, a std::barrier in tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace grl {

// What a rank carries into a fence.
struct FenceValue {
    static constexpr std::uint32_t kRefused = 1;  // the attempt was over before this rank was quiet
    static constexpr std::uint32_t kLeaving = 2;  // the rank is finalising

    std::uint32_t round = 0;        // this rank's fences so far, this one included
    std::uint32_t leave_since = 0;  // round in which it first carried kLeaving
    std::uint32_t attempt = 0;
    std::uint32_t flags = 0;
    std::uint64_t line = 0;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;
};

// Used by the agent's thread only.
class Fence {
  public:
    virtual ~Fence() = default;
    virtual std::uint32_t rank() const = 0;
    virtual std::uint32_t ranks() const = 0;
    // Gives `mine` and fences. Blocks until all ranks have. An error's text, or empty.
    virtual std::string exchange(const FenceValue& mine) = 0;
    // Reads all ranks' newest values from this node's store; `values` and `present` hold ranks()
    // elements. A value may be newer than the last fence, where its rank has gone on.
    virtual void collect(FenceValue* values, bool* present) = 0;
};

// Joins the namespace's PMIx; null with the reason in `why`.
std::unique_ptr<Fence> make_pmix_fence(std::string& why);

}  // namespace grl
