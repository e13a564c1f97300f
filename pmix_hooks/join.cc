// The library's entries: they join the process to its step. One agent per process, whichever of its
// gates comes first; its host, the communication library's init, gives it no other place than a
// static one.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "grl/mca/settings.h"
#include "pmix_hooks/agent.h"
#include "pmix_hooks/drain.h"
#include "pmix_hooks/page.h"

namespace grl {
namespace {

Agent* g_agent = nullptr;  // never destroyed by exit handlers: its thread would outlive it
Gate* g_gate = nullptr;    // the lead
std::uint32_t g_ranks = 0;

// From the announcement to the joining; never destroyed by exit handlers either. What has been
// opened of PMIx is not closed before the communication library has opened it too: it would be
// closed for good.
Fence* g_opened = nullptr;
bool g_announced = false;
std::string* g_fault = nullptr;  // of the announcement

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

std::string other_ranks(const Fence& fence, const LinePage& page) {
    return "PMIx knows " + std::to_string(fence.ranks()) + " ranks, the line page " +
           std::to_string(page.step_ranks);
}

std::string follow(Gate* gate, std::uint32_t ranks) {
    if (ranks != g_ranks) return all_must(ranks, g_ranks);
    g_agent->follow(*gate);
    gate->agent = g_agent;
    gate->leave = leave;
    return {};
}

// The page and this rank's slot in it, or why not.
std::string open_page(LinePage*& page, std::uint32_t& index) {
    static LinePage* mapped = nullptr;
    std::string why;
    if (mapped == nullptr) mapped = map_line_page(secure_getenv(kLinePageEnv), why);
    page = mapped;
    return page == nullptr ? why : slot_index(*page, index);
}

// Open MPI can be told to exchange no data when it comes up. It asks for each rank's when it needs
// them then, and must not find ours in place of its own.
bool ranks_exchange_data() {
    grl_mca_setting lazy;
    return !grl_mca_find(&grl_mca_open_mpi, "pmix_base_async_modex", grl_mca_own_environment,
                         nullptr, &lazy) ||
           grl_mca_is_false(lazy.value);
}

std::string announce() {
    if (g_agent != nullptr || g_opened != nullptr || !ranks_exchange_data()) return {};
    LinePage* page = nullptr;
    std::uint32_t index = 0;
    std::string why = open_page(page, index);
    if (why.empty()) why = Agent::slot_taken(*page, index);
    if (why.empty() && !barrier_register()) why = kNoBarrier;
    if (!why.empty()) return why;
    std::unique_ptr<Fence> fence = make_pmix_fence(why);
    if (fence == nullptr) return why;
    if (fence->ranks() != page->step_ranks) why = other_ranks(*fence, *page);
    if (why.empty()) why = fence->announce();
    g_opened = fence.release();
    g_announced = true;
    if (!why.empty()) g_fault = new std::string(std::move(why));
    return {};
}

// A process that ends with its PMIx open passes for one that crashed, and Slurm kills the step.
// That it is closed for good takes nothing from the program: Open MPI begins its init only once.
void retract() {
    g_announced = false;
    delete std::exchange(g_fault, nullptr);
    delete std::exchange(g_opened, nullptr);
}

Joined join(Gate* gate, std::uint32_t ranks, std::string& why) {
    if (gate->version != kGateVersion) {
        why = "the program was linked with another version of libgrl_armci.a; link it again";
        return Joined::not_here;
    }
    if (g_agent != nullptr) {
        why = follow(gate, ranks);
        return why.empty() ? Joined::joined : Joined::nowhere;
    }
    const std::unique_ptr<std::string> fault(std::exchange(g_fault, nullptr));
    std::unique_ptr<Fence> fence(std::exchange(g_opened, nullptr));
    const bool announced = std::exchange(g_announced, false);
    if (fault != nullptr) why = *fault;
    if (announced && why.empty()) why = fence->unannounced();
    if (!why.empty()) return Joined::nowhere;
    LinePage* page = nullptr;
    std::uint32_t index = 0;
    why = open_page(page, index);
    if (why.empty() && ranks != page->step_ranks) why = all_must(ranks, page->step_ranks);
    if (why.empty() && fence == nullptr) fence = make_pmix_fence(why);
    if (why.empty() && fence->ranks() != page->step_ranks) why = other_ranks(*fence, *page);
    if (!why.empty()) return Joined::not_here;
    auto agent = std::make_unique<Agent>(*page, index, *gate, std::move(fence));
    why = agent->start();
    if (!why.empty()) return Joined::not_here;
    static const int at_fork = pthread_atfork(nullptr, nullptr, forget_in_child);
    if (at_fork != 0) {
        why = "pthread_atfork failed";
        return Joined::not_here;
    }
    g_agent = agent.release();
    g_gate = gate;
    g_ranks = ranks;
    gate->agent = g_agent;
    gate->leave = leave;
    return Joined::joined;
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

void say(const std::string& reason, char* why, std::size_t why_bytes) {
    std::snprintf(why, why_bytes, "%s", reason.c_str());
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int grl_agent_announce(char* why, std::size_t why_bytes) {
    std::string reason;
    try {
        reason = grl::announce();
    } catch (const std::exception& error) {
        reason = error.what();
    }
    say(reason, why, why_bytes);
    return reason.empty() ? 0 : -1;
}

extern "C" [[gnu::visibility("default")]] void grl_agent_retract() {
    grl::retract();
}

extern "C" [[gnu::visibility("default")]] grl::Joined grl_agent_join(grl::Gate* gate,
                                                                     std::uint32_t ranks, char* why,
                                                                     std::size_t why_bytes) {
    std::string reason;
    grl::Joined joined = grl::Joined::not_here;
    try {
        joined = grl::join(gate, ranks, reason);
    } catch (const std::exception& error) {
        reason = error.what();
    }
    say(reason, why, why_bytes);
    return joined;
}
