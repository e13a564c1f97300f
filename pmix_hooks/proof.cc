#include "pmix_hooks/proof.h"

namespace grl {
namespace {

std::string fault(const FenceValue& value, bool present, std::uint32_t rank, std::uint32_t attempt,
                  std::uint32_t round) {
    const std::string who = "rank " + std::to_string(rank);
    if (!present || value.round < round)
        return "the fence is no barrier: " + who + "'s value of attempt " +
               std::to_string(attempt) + " is " + (present ? "stale" : "missing") +
               "; SLURM_PMIX_FENCE=ring must be set";
    if ((value.flags & FenceValue::kLeaving) != 0) return who + " is finalising";
    if (value.attempt != attempt)
        return who + " is at attempt " + std::to_string(value.attempt) + ", not " +
               std::to_string(attempt);
    if ((value.flags & FenceValue::kRefused) != 0)
        return who + " was not quiet when the attempt ended";
    if (value.issued != value.completed + value.deferred)
        return who + " has " + std::to_string(value.issued) + " operations issued, " +
               std::to_string(value.completed) + " completed and " +
               std::to_string(value.deferred) + " deferred";
    return {};
}

}  // namespace

Proof judge_silence(std::span<const FenceValue> values, std::span<const bool> present,
                    std::uint32_t attempt, std::uint32_t round) {
    Proof proof;
    for (std::uint32_t rank = 0; rank < values.size(); ++rank) {
        const FenceValue& value = values[rank];
        proof.reason = fault(value, present[rank], rank, attempt, round);
        if (!proof.reason.empty()) {
            proof.bad_rank = rank;
            return proof;
        }
        proof.issued += value.issued;
        proof.completed += value.completed;
        proof.deferred += value.deferred;
    }
    proof.proven = true;
    return proof;
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
