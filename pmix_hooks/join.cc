// The library's one entry: joins the process to its step. One agent per process, whichever of its
// gates comes first; its host, the communication library's init, gives it no other place than a
// static one.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "pmix_hooks/agent.h"
#include "pmix_hooks/page.h"

namespace grl {
namespace {

Agent* g_agent = nullptr;  // never destroyed by exit handlers: its thread would outlive it
Gate* g_gate = nullptr;    // the lead
std::uint32_t g_ranks = 0;

// From the announcement to the joining; never destroyed by exit handlers either.
Fence* g_announced = nullptr;
LinePage* g_page = nullptr;

std::string slot_index(const LinePage& page, std::uint32_t& index) {
    const char* text = secure_getenv("SLURM_LOCALID");
    char* end = nullptr;
    const unsigned long value = text != nullptr ? std::strtoul(text, &end, 10) : 0;
    if (text == nullptr || end == text || *end != '\0' || value >= page.slots)
        return std::string("SLURM_LOCALID ") + (text != nullptr ? text : "is not set") +
               ", but the line page has slots 0 to " + std::to_string(page.slots - 1);
    index = static_cast<std::uint32_t>(value);
    return {};
}

void leave(Gate* gate, bool agreed) {
    auto* agent = static_cast<Agent*>(gate->agent);
    if (gate != g_gate) return agent->unfollow(*gate);
    agent->leave(agreed);
    g_gate = nullptr;
    g_agent = nullptr;
    delete agent;
}

// A fork's child has no agent and no part in the step.
void forget_in_child() {
    if (g_gate != nullptr) Agent::disconnect(*g_gate);
    g_gate = nullptr;
    g_agent = nullptr;
}

std::string all_must(std::uint32_t ranks, std::uint32_t step_ranks) {
    return std::to_string(ranks) + " ranks communicate, but the step has " +
           std::to_string(step_ranks) + "; all must take part";
}

std::string follow(Gate* gate, std::uint32_t ranks) {
    if (ranks != g_ranks) return all_must(ranks, g_ranks);
    g_agent->follow(*gate);
    gate->agent = g_agent;
    gate->leave = leave;
    return {};
}

// The page, this rank's slot in it and the fence, or why not.
std::string open_step(LinePage*& page, std::uint32_t& index, std::unique_ptr<Fence>& fence) {
    std::string why;
    page = g_page != nullptr ? g_page : map_line_page(secure_getenv(kLinePageEnv), why);
    if (page == nullptr) return why;
    why = slot_index(*page, index);
    if (!why.empty()) return why;
    fence.reset(std::exchange(g_announced, nullptr));
    if (fence == nullptr) fence = make_pmix_fence(why);
    if (fence == nullptr) return why;
    if (fence->ranks() != page->step_ranks)
        return "PMIx knows " + std::to_string(fence->ranks()) + " ranks, the line page " +
               std::to_string(page->step_ranks);
    return {};
}

std::string announce() {
    if (g_agent != nullptr || g_announced != nullptr) return {};
    std::uint32_t index = 0;
    std::unique_ptr<Fence> fence;
    std::string why = open_step(g_page, index, fence);
    if (!why.empty()) return why;
    why = Agent::slot_taken(*g_page, index);
    if (!why.empty()) return why;
    why = fence->announce();
    if (!why.empty()) return why;
    g_announced = fence.release();
    return {};
}

std::string join(Gate* gate, std::uint32_t ranks) {
    if (gate->version != kGateVersion)
        return "the program was linked with another version of libgrl_armci.a; link it again";
    if (g_agent != nullptr) return follow(gate, ranks);
    const bool announced = g_announced != nullptr;
    LinePage* page = nullptr;
    std::uint32_t index = 0;
    std::unique_ptr<Fence> fence;
    std::string why = open_step(page, index, fence);
    if (!why.empty()) return why;
    if (ranks != page->step_ranks) return all_must(ranks, page->step_ranks);
    if (announced) why = fence->unannounced();
    if (!why.empty()) return why;
    auto agent = std::make_unique<Agent>(*page, index, *gate, std::move(fence));
    why = agent->start();
    if (!why.empty()) return why;
    static const int at_fork = pthread_atfork(nullptr, nullptr, forget_in_child);
    if (at_fork != 0) return "pthread_atfork failed";
    g_agent = agent.release();
    g_gate = gate;
    g_ranks = ranks;
    gate->agent = g_agent;
    gate->leave = leave;
    return {};
}

// A rank that ends without finalising has no agent from here on; its master must not wait for it.
[[gnu::destructor]] void mark_left() {
    if (g_gate == nullptr) return;
    g_gate->slot->state.store(static_cast<std::uint32_t>(RankState::left),
                              std::memory_order_release);
}

}  // namespace
}  // namespace grl

namespace {

template <class Entry>
int answer(char* why, std::size_t why_bytes, Entry entry) {
    try {
        const std::string reason = entry();
        if (reason.empty()) return 0;
        std::snprintf(why, why_bytes, "%s", reason.c_str());
    } catch (const std::exception& error) {
        std::snprintf(why, why_bytes, "%s", error.what());
    }
    return -1;
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int grl_agent_announce(char* why, std::size_t why_bytes) {
    return answer(why, why_bytes, [] { return grl::announce(); });
}

extern "C" [[gnu::visibility("default")]] int grl_agent_join(grl::Gate* gate, std::uint32_t ranks,
                                                             char* why, std::size_t why_bytes) {
    return answer(why, why_bytes, [&] { return grl::join(gate, ranks); });
}
