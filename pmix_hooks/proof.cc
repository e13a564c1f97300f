#include "pmix_hooks/proof.h"

namespace grl {
namespace {

std::string fault(const FenceValue& value, bool present, std::uint32_t rank, std::uint32_t attempt,
                  std::uint32_t round) {
    const std::string who = "rank " + std::to_string(rank);
    if (!present || value.round < round)
        return "the fence is no barrier: " + who + "'s value of attempt " +
               std::to_string(attempt) + " is " + (present ? "stale" : "missing") +
               "; wants SLURM_PMIX_FENCE=ring, PMIxDirectConn";
    if (value.leave_since != 0 && value.leave_since <= round) return who + " is finalising";
    if (value.refused >= attempt && value.doubt != 0)
        return who + " called on one stack while a call was under way on another: threads without "
                     "their MPI level, or coroutines";
    if (value.refused >= attempt) return who + " was not quiet when the attempt ended";
    // A later round is a later attempt, and this rank has passed this one.
    if (value.round == round && value.attempt != attempt)
        return who + " is at attempt " + std::to_string(value.attempt) + ", not " +
               std::to_string(attempt);
    return {};
}

}  // namespace

Proof judge_silence(std::span<const FenceValue> values, std::span<const bool> present,
                    std::uint32_t attempt, std::uint32_t round) {
    Proof proof;
    for (std::uint32_t rank = 0; rank < values.size(); ++rank) {
        proof.reason = fault(values[rank], present[rank], rank, attempt, round);
        if (!proof.reason.empty()) {
            proof.bad_rank = rank;
            return proof;
        }
    }
    proof.proven = true;
    return proof;
}

void add_up(Proof& proof, std::span<const RankSlot> slots) {
    constexpr auto relaxed = std::memory_order_relaxed;
    for (const RankSlot& slot : slots) {
        const std::uint64_t issued = slot.quiet_issued.load(relaxed);
        const std::uint64_t completed = slot.quiet_completed.load(relaxed);
        const std::uint64_t deferred = slot.deferred.load(relaxed);
        proof.issued += issued;
        proof.completed += completed;
        proof.deferred += deferred;
        if (issued == completed + deferred || !proof.proven) continue;
        proof.proven = false;
        proof.bad_rank = slot.rank.load(relaxed);
        proof.reason = "rank " + std::to_string(proof.bad_rank) + " has " + std::to_string(issued) +
                       " operations issued, " + std::to_string(completed) + " completed and " +
                       std::to_string(deferred) + " deferred";
    }
}

Leaving judge_leaving(std::span<const FenceValue> values, std::span<const bool> present,
                      std::uint32_t round) {
    Leaving answer = Leaving::all;
    for (std::uint32_t rank = 0; rank < values.size(); ++rank) {
        if (!present[rank] || values[rank].round < round) return Leaving::no_barrier;
        if (values[rank].leave_since == 0 || values[rank].leave_since > round)
            answer = Leaving::not_all;
    }
    return answer;
}

}  // namespace grl
