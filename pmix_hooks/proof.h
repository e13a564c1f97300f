// What a node's leader concludes from the values of a fence. Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "grl/page/line_page.h"
#include "pmix_hooks/fence.h"

namespace grl {

struct Proof {
    bool proven = false;
    std::uint32_t bad_rank = 0;  // where not proven, with the reason
    std::string reason;
    std::uint64_t issued = 0;  // over this node's ranks
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;
};

// Was every rank quiet in `attempt` when it entered the fence, which is this rank's number `round`?
Proof judge_silence(std::span<const FenceValue> values, std::span<const bool> present,
                    std::uint32_t attempt, std::uint32_t round);

// Adds up what the ranks of this node had issued and completed when they entered it.
void add_up(Proof& proof, std::span<const RankSlot> slots);

enum class Leaving { not_all, all, no_barrier };

// Was every rank finalising when it entered fence number `round`? All ranks get the same answer for
// the same round however late they look, because leave_since never changes once it is set.
Leaving judge_leaving(std::span<const FenceValue> values, std::span<const bool> present,
                      std::uint32_t round);

}  // namespace grl
