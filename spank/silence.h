// What the words of a line page say: may a line be taken, is the node silent, who holds it up.
// Pure.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "spank/line_page_file.h"

namespace grl {

struct Standing {
    enum Kind { waiting, silent, broken } kind = waiting;
    std::string why;  // where broken
};

using Alive = std::function<bool(std::int32_t pid)>;

// Empty if all local ranks have joined, none is leaving and all live; else who does not, as one
// line.
std::string why_not_ready(const std::vector<RankWords>& ranks, const std::string& node,
                          const Alive& alive);

// `step_ranks` is the step's size, which a proof must cover.
Standing judge_silence(const std::vector<RankWords>& ranks, const ProofCopy& proof,
                       std::uint32_t attempt, std::uint32_t step_ranks, const std::string& node,
                       const Alive& alive);

// Whether all local ranks have done their part and are in the fence.
bool waits_for_others(const std::vector<RankWords>& ranks);

// Who is not silent in `attempt` and what he does, as one line; at most four by name.
std::string who_is_not_silent(const std::vector<RankWords>& ranks, const ProofCopy& proof,
                              std::uint32_t attempt, const std::string& node);

}  // namespace grl
