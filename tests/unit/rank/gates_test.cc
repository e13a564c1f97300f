// Several gates in a process, and several threads in a gate.
#include <gtest/gtest.h>

#include "tests/unit/rank/rank_sim.h"

namespace grl::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kAWhile = 30ms;  // long enough to notice what should not happen

// ---- a gate that follows another ----

struct TwoGates : testing::Test {
    TwoGates() {
        above.ops = {[](void* context) { ++*static_cast<std::atomic<int>*>(context); }, nullptr,
                     &finished};
        rank.agent->follow(above);
    }
    Node node{1};
    Rank& rank = node.ranks[0];
    Gate above;
    std::atomic<int> finished{0};
};

TEST_F(TwoGates, ACallThroughBothIsCountedOnce) {
    {
        const GatePass outer(above, CallClass::one_sided);
        const GatePass inner(*rank.gate, CallClass::one_sided);
        EXPECT_TRUE(outer.outermost());
        EXPECT_FALSE(inner.outermost());
        inner.complete(1);
        outer.complete(1);
    }
    EXPECT_EQ(rank.slot->issued, 1u);
    EXPECT_EQ(rank.slot->completed, 1u);
}

TEST_F(TwoGates, TheFollowerParksAndBothFinish) {
    add(rank.slot->issued, std::uint64_t{2});
    node.open();
    std::atomic<bool> passed{false};
    std::thread caller([&] {
        const GatePass pass(above, CallClass::waiting);
        passed = true;
    });
    ASSERT_TRUE(eventually([&] { return rank.call() == CallClass::parked && node.silent(); }));
    EXPECT_FALSE(passed);
    EXPECT_EQ(rank.finished + finished, node.page->proof.deferred == 0 ? 2 : 0);
    node.close();
    caller.join();
    EXPECT_TRUE(passed);
}

TEST_F(TwoGates, AFollowerThatLetsGoLeavesTheLeadInPlace) {
    rank.agent->unfollow(above);
    EXPECT_EQ(above.slot, &above.spare);
    EXPECT_EQ(above.lead, &above);
    EXPECT_EQ(rank.gate->next, nullptr);
    { const GatePass pass(above, CallClass::one_sided); }
    EXPECT_EQ(rank.slot->issued, 0u);
    { const GatePass pass(*rank.gate, CallClass::one_sided); }
    EXPECT_EQ(rank.slot->issued, 1u);
}

TEST_F(TwoGates, BothAreOpenWhenTheLeadHasLeft) {
    Gate third;
    rank.agent->follow(third);
    rank.agent->leave(false);
    for (Gate* gate : {rank.gate.get(), &above, &third}) {
        EXPECT_EQ(gate->shut, &gate->open);
        EXPECT_EQ(gate->slot, &gate->spare);
        EXPECT_EQ(gate->next, nullptr);
    }
}

// ---- debug mode ----

TEST_F(TwoGates, DebugModeKeepsTheLastOperationAndSinceWhenOneIsOutstanding) {
    alignas(64) RankTrace trace{};
    rank.gate->trace = above.trace = &trace;
    const std::int64_t before = monotonic_ns();
    { const OperationPass pass(above, "ARMCI_Put", 3); }
    const std::int64_t since = trace.since_ns;
    EXPECT_GE(since, before);
    { const OperationPass pass(*rank.gate, "MPI_Accumulate", 5); }
    EXPECT_EQ(trace.since_ns, since) << "the first is still outstanding";
    EXPECT_EQ(trace.target, 5);
    EXPECT_STREQ(trace.call, "MPI_Accumulate");
    {
        const OperationPass outer(above, "ARMCI_Get", 1);
        const OperationPass inner(*rank.gate, "MPI_Get", 2);
    }
    EXPECT_STREQ(trace.call, "ARMCI_Get");
}

// ---- many threads ----

struct Threads : testing::Test {
    // The simulated all-fence is not for several threads at once.
    Threads() { rank.gate->ops.finish = nullptr; }
    Node node{1, 10s, true};
    Rank& rank = node.ranks[0];
};

TEST_F(Threads, AreCountedTogether) {
    Gate above;
    rank.agent->follow(above);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) {
                const GatePass outer(above, CallClass::one_sided);
                const GatePass inner(*rank.gate, CallClass::one_sided);  // the library's own
                outer.complete(1);
                inner.complete(1);
            }
        });
    for (std::thread& thread : threads) thread.join();
    rank.agent->unfollow(above);
    EXPECT_EQ(rank.slot->issued, 4000u);
    EXPECT_EQ(rank.slot->completed, 4000u);
    EXPECT_EQ(rank.gate->active, 0u);
}

TEST_F(Threads, TheOneThatIsInAnOperationHoldsTheLineUp) {
    Caller working(rank);
    Caller waiting(rank);
    working.begin(CallClass::one_sided);
    waiting.begin(CallClass::waiting);
    ASSERT_TRUE(eventually([&] { return working.inside && waiting.inside; }));
    node.open();
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(rank.state(), RankState::draining);
    working.end();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_FALSE(working.done) << "it parks at the exit";
    node.close();
    working.finish();
    waiting.finish();
    EXPECT_EQ(node.page->proof.issued, 1u);
    EXPECT_EQ(node.page->proof.deferred, 0u);
}

TEST_F(Threads, AllParkAndAllGoOn) {
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    std::vector<std::unique_ptr<Caller>> callers;
    for (CallClass call : {CallClass::one_sided, CallClass::completion, CallClass::waiting,
                           CallClass::local, CallClass::one_sided}) {
        callers.push_back(std::make_unique<Caller>(rank));
        callers.back()->begin(call);
    }
    std::this_thread::sleep_for(kAWhile);
    for (const auto& caller : callers) EXPECT_FALSE(caller->inside);
    EXPECT_EQ(rank.slot->issued, 0u);
    node.close();
    for (const auto& caller : callers) {
        EXPECT_TRUE(eventually([&] { return caller->inside.load(); }));
        caller->finish();
    }
    EXPECT_EQ(rank.slot->issued, 2u);
}

// Nothing is begun between a proof and its release, whatever the interleaving.
TEST_F(Threads, NothingIsIssuedInSilence) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            while (!stop) {
                const GatePass pass(*rank.gate,
                                    t == 0 ? CallClass::completion : CallClass::one_sided);
                if (t != 0) pass.complete(1);
            }
        });
    for (int line = 0; line < 200; ++line) {
        node.open();
        ASSERT_TRUE(eventually([&] { return node.silent(); }));
        EXPECT_EQ(node.page->proof.proven, 1u);
        const std::uint64_t issued = rank.slot->issued;
        for (int i = 0; i < 10; ++i) std::this_thread::yield();
        EXPECT_EQ(rank.slot->issued, issued);
        EXPECT_EQ(rank.slot->completed, issued);
        node.close();
        ASSERT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace grl::test
