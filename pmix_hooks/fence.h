// The collecting fence as the agent sees it: every rank gives a value and enters, nobody returns
// before all have entered, then all values can be read. PMIx in a job, a barrier in tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace grl {

// What a rank carries into a fence. Nothing in it is known only then, but what goes wrong: giving a
// value costs more than the fence itself, so it is given long before, and again where it was wrong.
// The words of what went wrong stay true of their round in later values.
struct FenceValue {
    std::uint32_t round = 0;        // this rank's fences so far, this one included
    std::uint32_t attempt = 0;      // that it is for
    std::uint32_t refused = 0;      // the last attempt in which this rank was not quiet in time
    std::uint32_t leave_since = 0;  // the first round in which it was finalising
    std::uint32_t doubt = 0;        // grl::Doubt, of the last attempt that it took part in

    bool operator==(const FenceValue&) const = default;
};

// Used by the agent's thread only.
class Fence {
  public:
    virtual ~Fence() = default;
    virtual std::uint32_t rank() const = 0;
    virtual std::uint32_t ranks() const = 0;
    // This rank's value from here on. An error's text, or empty.
    virtual std::string give(const FenceValue& mine) = 0;
    // The fence. Blocks until all ranks have entered. An error's text, or empty. With `values` and
    // `present`, which hold ranks() elements, or are null: reads all ranks' newest values then. One
    // may be newer than the fence, where its rank has given the next.
    virtual std::string meet(FenceValue* values, bool* present) = 0;

    // Tells all ranks, with the next fence of whoever makes one, that this one will take part. An
    // error's text, or empty.
    virtual std::string announce() { return {}; }
    // Which rank has not told, or empty. After that fence.
    virtual std::string unannounced() { return {}; }
};

// Joins the namespace's PMIx; null with the reason in `why`.
std::unique_ptr<Fence> make_pmix_fence(std::string& why);

}  // namespace grl
