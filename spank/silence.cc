#include "spank/silence.h"

#include <algorithm>

#include "grl/page/futex.h"

namespace grl {
namespace {

constexpr std::size_t kMostNamed = 4;

const char* describe(RankState state) {
    switch (state) {
        case RankState::absent:
            return "has not joined";
        case RankState::running:
            return "has not seen the request";
        case RankState::draining:
            return "draining";
        case RankState::fencing:
            return "waiting in the fence";
        case RankState::silent:
            return "silent";
        case RankState::leaving:
            return "finalising";
        case RankState::left:
            return "finalised";
    }
    return "?";
}

const char* describe(CallClass call) {
    switch (call) {
        case CallClass::none:
            return "computing";
        case CallClass::one_sided:
            return "in a one-sided call";
        case CallClass::completion:
            return "in a fence or wait";
        case CallClass::waiting:
            return "in a call that waits for a peer";
        case CallClass::local:
            return "in a local call";
        case CallClass::parked:
            return "parked";
        case CallClass::threads:
            return "in one of its threads";
    }
    return "?";
}

// Known in debug mode.
std::string last_operation(const RankWords& rank) {
    if (rank.last_call.empty()) return {};
    const std::string call = ", the last " + rank.last_call + " to rank " + std::to_string(rank.last_target);
    // The page is the user's: a time before the machine's start, or yet to come, is none.
    const std::int64_t now = monotonic_ns();
    if (rank.since_ns < 0 || rank.since_ns > now) return call;
    const std::int64_t ms = (now - rank.since_ns) / 1'000'000;
    return " for " + std::to_string(ms / 1000) + "." + std::to_string(ms % 1000 / 100) +
           " s" + call;
}

bool leaves(RankState state) {
    return state == RankState::leaving || state == RankState::left;
}

bool quiet(const RankWords& rank, std::uint32_t attempt) {
    return rank.state == RankState::silent && rank.attempt == attempt;
}

// An absent rank has no number yet.
std::string name(const RankWords& rank, std::size_t local, const std::string& node) {
    return (rank.state == RankState::absent ? "local rank " + std::to_string(local)
                                            : "rank " + std::to_string(rank.rank)) +
           " on " + node;
}

// Lists those for which `text` is not empty.
template <class Text>
std::string list(const std::vector<RankWords>& ranks, const std::string& node, Text text) {
    std::string line;
    std::size_t named = 0, more = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        const std::string fact = text(ranks[i]);
        if (fact.empty()) continue;
        if (named == kMostNamed) {
            ++more;
            continue;
        }
        line += (named++ == 0 ? "" : "; ") + name(ranks[i], i, node) + ": " + fact;
    }
    return more == 0 ? line : line + "; and " + std::to_string(more) + " more";
}

}  // namespace

std::string why_not_ready(const std::vector<RankWords>& ranks, const std::string& node,
                          const Alive& alive) {
    return list(ranks, node, [&](const RankWords& rank) -> std::string {
        if (rank.state == RankState::absent || leaves(rank.state)) return describe(rank.state);
        if (rank.pid <= 0 || !alive(rank.pid)) {
            return "its process " + std::to_string(rank.pid) + " is dead";
        }
        return {};
    });
}

Standing judge_silence(const std::vector<RankWords>& ranks, const ProofCopy& proof,
                       std::uint32_t attempt, std::uint32_t step_ranks, const std::string& node,
                       const Alive& alive) {
    if (proof.attempt == attempt && !proof.proven) {
        return {Standing::broken, proof.reason.empty()
                                      ? "rank " + std::to_string(proof.bad_rank) + " does not fit"
                                      : proof.reason};
    }
    bool all_quiet = true;
    for (const RankWords& rank : ranks) all_quiet = all_quiet && quiet(rank, attempt);
    if (!all_quiet) {
        const std::string lost = why_not_ready(ranks, node, alive);
        if (!lost.empty()) return {Standing::broken, lost};
    }
    if (!all_quiet || proof.attempt != attempt) return {};
    if (proof.ranks != step_ranks || proof.completed > proof.issued ||
        proof.issued - proof.completed != proof.deferred) {
        return {Standing::broken, "the proof does not add up: " + std::to_string(proof.ranks) +
                                      " ranks, " + std::to_string(proof.issued) + " issued, " +
                                      std::to_string(proof.completed) + " completed, " +
                                      std::to_string(proof.deferred) + " deferred"};
    }
    return {Standing::silent, {}};
}

bool waits_for_others(const std::vector<RankWords>& ranks) {
    return std::all_of(ranks.begin(), ranks.end(), [](const RankWords& rank) {
        return rank.state == RankState::fencing || rank.state == RankState::silent;
    });
}

std::string who_is_not_silent(const std::vector<RankWords>& ranks, const ProofCopy& proof,
                              std::uint32_t attempt, const std::string& node) {
    std::string line = list(ranks, node, [&](const RankWords& rank) -> std::string {
        if (quiet(rank, attempt)) return {};
        if (rank.state != RankState::draining) return describe(rank.state);
        std::string fact = std::string(describe(rank.state)) + ", " + describe(rank.call);
        if (rank.issued > rank.completed) {
            fact += ", " + std::to_string(rank.issued - rank.completed) +
                    " operations outstanding" + last_operation(rank);
        }
        return fact;
    });
    if (!line.empty()) return line;
    return proof.attempt == attempt ? "" : "no proof on " + node + " though its ranks are silent";
}

}  // namespace grl
