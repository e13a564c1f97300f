#include "pmix_hooks/agent.h"

#include <dlfcn.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "grl/page/attempt.h"
#include "pmix_hooks/drain.h"
#include "pmix_hooks/park.h"
#include "pmix_hooks/proof.h"

namespace grl {
namespace {

constexpr std::size_t kStackBytes = 256UL * 1024;

// From the silence on, before this thread takes a processor again: the master has word to send.
constexpr std::int64_t kMastersTurn_ns = 2'000'000;

// The C library takes a thread's static storage, which a program may have much of, from its stack.
std::size_t storage_of_threads(const pthread_attr_t& attributes) {
    using MinStack = std::size_t(const pthread_attr_t*);
    auto* least = reinterpret_cast<MinStack*>(dlsym(RTLD_DEFAULT, "__pthread_get_minstack"));
    return least != nullptr ? least(&attributes) : 0;
}

std::string start_thread(pthread_t& thread, void* (*body)(void*), void* argument) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes + storage_of_threads(attributes));
    pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited: signals are the application's
    const int error = pthread_create(&thread, &attributes, body, argument);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
    if (error != 0) return "no thread: error " + std::to_string(error);
    pthread_setname_np(thread, "grl-agent");
    return {};
}

}  // namespace

Agent::Agent(LinePage& page, std::uint32_t slot, Gate& gate, std::unique_ptr<Fence> fence)
    : page_(page),
      index_(slot),
      gate_(gate),
      slot_(slots_of(&page)[slot]),
      fence_(std::move(fence)),
      values_(fence_->ranks()),
      present_(std::make_unique<bool[]>(fence_->ranks())) {}

Agent::~Agent() {
    leave(false);
}

std::string Agent::start() {
    if (!barrier_register()) return kNoBarrier;
    if (std::string taken = slot_taken(page_, index_); !taken.empty()) return taken;
    slot_.rank.store(fence_->rank(), std::memory_order_relaxed);
    slot_.pid.store(getpid(), std::memory_order_relaxed);
    slot_.call.store(
        static_cast<std::uint32_t>(gate_.threaded ? CallClass::threads : CallClass::none),
        std::memory_order_relaxed);
    connect(gate_);
    std::string error = start_thread(thread_, run, this);
    if (!error.empty()) {
        disconnect(gate_);
        return error;
    }
    started_ = true;
    return {};
}

std::string Agent::slot_taken(LinePage& page, std::uint32_t slot) {
    const RankSlot& words = slots_of(&page)[slot];
    if (words.state.load(std::memory_order_acquire) == 0) return {};
    return "slot " + std::to_string(slot) + " of the line page belongs to pid " +
           std::to_string(words.pid.load(std::memory_order_relaxed));
}

void* Agent::run(void* self) {
    Agent& agent = *static_cast<Agent*>(self);
    agent.serve_attempts();
    agent.ended_.store(1, std::memory_order_release);
    futex_wake(agent.ended_, Reach::process);
    return nullptr;
}

void Agent::serve_attempts() {
    set_state(RankState::running);
    for (;;) {
        const std::uint32_t newest = page_.attempt.load(std::memory_order_acquire);
        const std::uint32_t ending = ending_.load(std::memory_order_acquire);
        if (ending == kAgreed) return leave_in_rounds();
        if (ending == kWithdraw) return set_state(RankState::absent);
        if (newest == attempt_) {
            foresee();
            futex_wait(page_.attempt, newest, Reach::node);
        } else if (!broken_.empty())
            refuse();
        else
            serve(attempt_ + 1);
    }
}

// One attempt, one fence: also when it is over already, so that all ranks' fences stay matched.
void Agent::serve(std::uint32_t attempt) {
    attempt_ = attempt;
    Quiet quiet{.refused = true, .closed = true};
    if (attempt == page_.attempt.load(std::memory_order_acquire)) {
        show_state(RankState::draining);
        quiet = drain(gate_, attempt);
    }
    if (quiet.refused) refused_ = attempt;
    doubt_ = static_cast<std::uint32_t>(quiet.doubt);
    slot_.quiet_issued.store(quiet.issued, std::memory_order_relaxed);
    slot_.quiet_completed.store(quiet.completed, std::memory_order_relaxed);
    slot_.deferred.store(quiet.deferred, std::memory_order_relaxed);
    show_state(RankState::fencing);
    const std::string error =
        fence({.round = round_ + 1, .attempt = attempt, .refused = refused_, .doubt = doubt_}, leads());
    if (!error.empty()) {
        broken_ = "no line for the rest of this step: the fence of attempt " +
                  std::to_string(attempt) + " failed: " + error;
        return refuse();
    }
    gate_.fenced.store(attempt, std::memory_order_release);
    std::uint32_t closed = page_.closed.load(std::memory_order_acquire);
    if (!quiet.closed && closed < attempt) {
        const bool proven = conclude(attempt);
        slot_.attempt.store(attempt, std::memory_order_release);
        settle(RankState::silent);
        if (!proven) call_master();
    }
    futex_wake(gate_.fenced, Reach::process);
    MasterWatch watch(page_);
    std::int64_t span = kMastersTurn_ns;
    while ((closed = page_.closed.load(std::memory_order_acquire)) < attempt &&
           page_.attempt.load(std::memory_order_acquire) == attempt) {
        watch.wait(page_.closed, closed, Reach::node, span);
        if (std::exchange(span, MasterWatch::kSpan_ns) == kMastersTurn_ns) foresee();
    }
    settle(RankState::running);
}

std::string Agent::fence(const FenceValue& value, bool look) {
    round_ = value.round;
    if (value != given_) {
        given_ = {};  // where it fails
        std::string error = fence_->give(value);
        if (!error.empty()) return error;
        given_ = value;
    }
    return look ? fence_->meet(values_.data(), present_.get()) : fence_->meet(nullptr, nullptr);
}

// Gives the value of the next attempt as it will be if all goes well, while nobody waits for it.
void Agent::foresee() {
    const FenceValue next{.round = round_ + 1, .attempt = attempt_ + 1, .refused = refused_,
                          .doubt = doubt_};
    if (!broken_.empty() || given_ == next) return;
    given_ = {};
    if (fence_->give(next).empty()) given_ = next;  // the fence will say what is wrong
}

// The parked thread keeps polling, for peers, until the master has heard and closes the attempt.
void Agent::refuse() {
    attempt_ = page_.attempt.load(std::memory_order_acquire);
    if (leads() && attempt_ > page_.closed.load(std::memory_order_acquire))
        write_proof(attempt_, false, fence_->rank(), broken_, nullptr);
    set_state(RankState::running);
}

// The leader's part; false where there is no silence.
bool Agent::conclude(std::uint32_t attempt) {
    if (!leads()) return true;
    Proof proof = judge_silence(values_, {present_.get(), values_.size()}, attempt, round_);
    add_up(proof, {slots_of(&page_), page_.slots});
    write_proof(attempt, proof.proven, proof.bad_rank, proof.reason, &proof);
    return proof.proven;
}

// Every agent's fences form one sequence, and its i-th is matched with everybody's i-th whatever
// each is for, since all are the same collective. Once leaving, an agent enters one fence after the
// other and serves no attempt: its rounds stand in for the others' attempts. So whoever is still
// short of a fence gets its partners, up to the round K in which the last rank is leaving for the
// first time; that rank does get there, because the application's barrier before it is behind all
// of them. All see in round K, and none before, that every leave_since is <= K: all stop there.
void Agent::leave_in_rounds() {
    if (!broken_.empty()) return set_state(RankState::left);
    set_state(RankState::leaving);
    FenceValue value{.attempt = attempt_, .refused = refused_, .leave_since = round_ + 1};
    for (;;) {
        value.round = round_ + 1;
        if (!fence(value, true).empty()) break;  // no fence, no line: nothing to stay matched for
        if (leads()) report_leaving();
        // Without a barrier no line can be proven either, so there is nothing to wait for.
        if (judge_leaving(values_, {present_.get(), values_.size()}, round_) != Leaving::not_all)
            break;
    }
    set_state(RankState::left);
}

// The master of a leaving node must not wait for a proof that will not come.
void Agent::report_leaving() {
    const std::uint32_t attempt = page_.attempt.load(std::memory_order_acquire);
    if (attempt <= page_.closed.load(std::memory_order_acquire)) return;
    const std::uint32_t rank = fence_->rank();
    write_proof(attempt, false, rank, "rank " + std::to_string(rank) + " is finalising", nullptr);
}

void Agent::write_proof(std::uint32_t attempt, bool proven, std::uint32_t bad_rank,
                        const std::string& reason, const Proof* sums) {
    ProofWords& words = page_.proof;
    constexpr auto relaxed = std::memory_order_relaxed;
    words.proven.store(proven ? 1 : 0, relaxed);
    words.ranks.store(fence_->ranks(), relaxed);
    words.bad_rank.store(bad_rank, relaxed);
    words.issued.store(sums != nullptr ? sums->issued : 0, relaxed);
    words.completed.store(sums != nullptr ? sums->completed : 0, relaxed);
    words.deferred.store(sums != nullptr ? sums->deferred : 0, relaxed);
    words.at_ns.store(monotonic_ns(), relaxed);
    const std::size_t length = std::min(reason.size(), sizeof words.reason - 1);
    std::memcpy(words.reason, reason.data(), length);
    words.reason[length] = '\0';
    words.attempt.store(attempt, std::memory_order_release);
}

// To be seen by who looks.
void Agent::show_state(RankState state) {
    slot_.state.store(static_cast<std::uint32_t>(state), std::memory_order_release);
}

// To be acted upon: the master waits for it.
void Agent::set_state(RankState state) {
    show_state(state);
    call_master();
}

// What the master waits for all of the node's ranks to be: the last one calls it.
void Agent::settle(RankState state) {
    slot_.state.store(static_cast<std::uint32_t>(state), std::memory_order_seq_cst);
    if (last_to_settle()) call_master();
}

// Of several that settle at once each may take itself for the last; one does.
bool Agent::last_to_settle() const {
    const RankSlot* const slots = slots_of(&page_);
    const std::uint32_t state = slot_.state.load(std::memory_order_relaxed);
    return std::all_of(slots, slots + page_.slots, [state](const RankSlot& slot) {
        const std::uint32_t other = slot.state.load(std::memory_order_seq_cst);
        return other == state || other == static_cast<std::uint32_t>(RankState::absent) ||
               other >= static_cast<std::uint32_t>(RankState::leaving);
    });
}

void Agent::call_master() {
    page_.events.fetch_add(1, std::memory_order_release);
    futex_wake(page_.events, Reach::node);
}

void Agent::leave(bool agreed) {
    if (!started_) return;
    ending_.store(agreed ? kAgreed : kWithdraw, std::memory_order_release);
    // The agent may be about to sleep on the page's word, whose value is not ours to change: so
    // wake it until it has answered.
    while (ended_.load(std::memory_order_acquire) == 0) {
        futex_wake(page_.attempt, Reach::node);
        if (gate_.ops.progress != nullptr) gate_.ops.progress(gate_.ops.context);
        futex_wait(ended_, 0, Reach::process, 1'000'000);
    }
    pthread_join(thread_, nullptr);
    started_ = false;
    disconnect(gate_);
}

void Agent::connect(Gate& gate) {
    gate.page = &page_;
    gate.slow_enter = slow_enter;
    gate.slow_exit = slow_exit;
    gate.nest = nest;
    gate.unnest = unnest;
    gate.thread_enter = thread_enter;
    gate.thread_exit = thread_exit;
    gate.slot = &slot_;
    const char* debug = secure_getenv(kDebugEnv);
    if (debug != nullptr && *debug != '\0') gate.trace = &traces_of(&page_, page_.slots)[index_];
    gate.shut = &page_.shut;
}

void Agent::follow(Gate& gate) {
    gate.lead = &gate_;
    gate.threaded = gate_.threaded;
    gate.next = gate_.next;
    gate_.next = &gate;
    connect(gate);
}

void Agent::unfollow(Gate& gate) {
    for (Gate* before = &gate_; before != nullptr; before = before->next)
        if (before->next == &gate) before->next = gate.next;
    reset(gate);
}

void Agent::disconnect(Gate& lead) {
    for (Gate* gate = &lead; gate != nullptr;) {
        Gate* const next = gate->next;
        reset(*gate);
        gate = next;
    }
}

void Agent::reset(Gate& gate) {
    gate.shut = &gate.open;
    gate.slot = &gate.spare;
    gate.threaded = false;
    gate.outer_cfa.store(0, std::memory_order_relaxed);
    gate.trace = nullptr;
    gate.lead = &gate;
    gate.next = nullptr;
    gate.agent = nullptr;
    gate.leave = nullptr;
}

}  // namespace grl
