// What the gate and the agent promise, with real threads.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <random>

#include "tests/unit/rank/rank_sim.h"

namespace grl::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kAWhile = 30ms;  // long enough to notice what should not happen

void pass(Rank& rank, CallClass call) {
    const GatePass through(*rank.gate, call);
}

TEST(Gate, LetsEverythingThroughWithoutAnAgent) {
    Gate gate;
    for (int i = 0; i < 1000; ++i) {
        const GatePass pass(gate, CallClass::one_sided);
        pass.complete(1);
    }
    EXPECT_EQ(gate.spare.issued, 1000u);
    EXPECT_EQ(outstanding(gate.spare), 0u);
}

TEST(Gate, CountsACallInsideAnotherOnce) {
    Gate gate;
    {
        const GatePass outer(gate, CallClass::one_sided);
        const GatePass inner(gate, CallClass::one_sided);
        inner.complete(1);
        EXPECT_FALSE(inner.outermost());
        EXPECT_EQ(gate.spare.completed, 0u);
    }
    EXPECT_EQ(gate.spare.issued, 1u);
    EXPECT_EQ(gate.spare.call, 0u);
}

TEST(Gate, PassesFastWhileOpen) {
    Node node(1);
    for (int i = 0; i < 1000; ++i) pass(node.ranks[0], CallClass::one_sided);
    EXPECT_EQ(node.ranks[0].gate->crossings, 0u);
}

TEST(Gate, ParksAtTheEntryUntilReleased) {
    Node node(2);
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    Caller caller(node.ranks[0]);
    caller.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return node.ranks[0].call() == CallClass::parked; }));
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(caller.inside);
    EXPECT_EQ(node.ranks[0].slot->issued, 0u) << "a parked operation has not begun";
    node.close();
    EXPECT_TRUE(eventually([&] { return caller.inside.load(); }));
    caller.finish();
    EXPECT_EQ(node.ranks[0].slot->issued, 1u);
    EXPECT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
}

TEST(Gate, FinishesWhatIsOutstandingBeforeItParks) {
    Node node(1, 10s);
    Rank& rank = node.ranks[0];
    Caller caller(rank);
    caller.begin(CallClass::completion);
    ASSERT_TRUE(eventually([&] { return caller.inside.load(); }));
    add(rank.slot->issued, std::uint64_t{3});
    node.open();
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(rank.state(), RankState::draining);
    caller.end();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(rank.finished, 1);
    EXPECT_EQ(node.page->proof.issued, 3u);
    EXPECT_EQ(node.page->proof.completed, 3u);
    EXPECT_EQ(node.page->proof.deferred, 0u);
    node.close();
}

TEST(Gate, ParksAtTheExit) {
    Node node(1);
    Caller caller(node.ranks[0]);
    caller.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return caller.inside.load(); }));
    node.open();
    caller.end();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.ranks[0].call(), CallClass::parked);
    EXPECT_FALSE(caller.done);
    node.close();
    EXPECT_TRUE(eventually([&] { return caller.done.load(); }));
}

TEST(Gate, PumpsProgressUntilTheFenceHasReturned) {
    Node node(2);
    Rank& busy = node.ranks[1];
    Caller parked(node.ranks[0]);
    Caller working(busy);
    working.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return working.inside.load(); }));
    node.open();
    parked.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return node.ranks[0].polled > 5; }));
    working.end();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    std::this_thread::sleep_for(5ms);  // a last nap may still be under way
    const int polled = node.ranks[0].polled;
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(node.ranks[0].polled, polled);
    node.close();
}

TEST(Gate, AnAbortFreesAll) {
    Node node(2);
    Caller parked(node.ranks[0]);
    Caller working(node.ranks[1]);
    working.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return working.inside.load(); }));
    node.open();
    parked.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return node.ranks[0].state() == RankState::fencing; }));
    node.close(Outcome::aborted);
    EXPECT_TRUE(eventually([&] { return parked.inside.load(); }));
    EXPECT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
    EXPECT_FALSE(working.done) << "the late rank's call was not touched";
    EXPECT_NE(node.page->proof.proven, 1u);
}

TEST(Gate, LetsAMutexHolderThroughUntilItHasUnlocked) {
    Node node(1);
    Rank& rank = node.ranks[0];
    add(rank.gate->held, 1);
    node.open();
    ASSERT_TRUE(eventually([&] { return rank.state() == RankState::draining; }));
    for (int i = 0; i < 50; ++i) {
        pass(rank, CallClass::one_sided);
        EXPECT_EQ(rank.state(), RankState::draining);
    }
    Caller unlock(rank);
    unlock.begin(CallClass::completion);
    ASSERT_TRUE(eventually([&] { return unlock.inside.load(); }));
    add(rank.gate->held, std::uint32_t(-1));
    unlock.end();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_FALSE(unlock.done) << "it parks as soon as it holds none";
    node.close();
}

TEST(Gate, AHolderThatStaysAwayIsSealedAndDoesNotPass) {
    Node node(1, 20ms);
    Rank& rank = node.ranks[0];
    add(rank.gate->held, 1);
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    Caller caller(rank);
    caller.begin(CallClass::one_sided);
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(caller.inside);
    node.close();
    EXPECT_TRUE(eventually([&] { return caller.inside.load(); }));
}

TEST(Gate, AHolderThatKeepsCallingIsNeverSealed) {
    Node node(1, 20ms);
    Rank& rank = node.ranks[0];
    add(rank.gate->held, 1);
    node.open();
    const auto end = std::chrono::steady_clock::now() + 200ms;
    while (std::chrono::steady_clock::now() < end) {
        pass(rank, CallClass::one_sided);
        std::this_thread::sleep_for(200us);
    }
    EXPECT_EQ(rank.state(), RankState::draining);
    node.close(Outcome::aborted);
    EXPECT_TRUE(eventually([&] { return rank.state() == RankState::running; }));
    EXPECT_EQ(node.fences.fences[0], 1) << "the aborted attempt was fenced once";
}

TEST(Gate, ARankThatWaitsForAPeerIsQuiet) {
    Node node(1);
    Caller caller(node.ranks[0]);
    caller.begin(CallClass::waiting);
    ASSERT_TRUE(eventually([&] { return caller.inside.load(); }));
    node.open();
    EXPECT_TRUE(eventually([&] { return node.proven(); }));
    caller.end();
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(caller.done) << "it parks when its wait is over";
    node.close();
}

TEST(Gate, ARankThatGetsAMutexWhileSealedParksWithIt) {
    Node node(1);
    Rank& rank = node.ranks[0];
    Caller caller(rank);
    caller.begin(CallClass::waiting);
    ASSERT_TRUE(eventually([&] { return caller.inside.load(); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    add(rank.gate->held, 1);
    caller.end();
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(caller.done);
    node.close();
    EXPECT_TRUE(eventually([&] { return caller.done.load(); }));
}

TEST(Gate, AnAwayRanksOperationsCountAsDeferred) {
    Node node(2);
    add(node.ranks[1].slot->issued, std::uint64_t{5});
    add(node.ranks[1].slot->completed, std::uint64_t{3});
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.page->proof.issued, 5u);
    EXPECT_EQ(node.page->proof.completed, 3u);
    EXPECT_EQ(node.page->proof.deferred, 2u);
    EXPECT_EQ(node.ranks[1].slot->deferred, 2u);
    EXPECT_EQ(node.ranks[1].finished, 0);
    node.close();
}

TEST(Gate, ACallBeyondTheGraceIsDeferredAndParksAtItsExit) {
    Node node(1, 20ms);
    Rank& rank = node.ranks[0];
    Caller caller(rank);
    caller.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return caller.inside.load(); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.page->proof.deferred, 1u);
    caller.end();
    ASSERT_TRUE(eventually([&] { return rank.call() == CallClass::parked; }));
    EXPECT_EQ(rank.finished, 0) << "no traffic once it counts as quiet";
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(caller.done);
    node.close();
    EXPECT_TRUE(eventually([&] { return caller.done.load(); }));
}

TEST(Agent, MakesUpTheFencesOfAttemptsItMissed) {
    Node node(2);
    node.attempt = 6;  // this node never heard of 1 to 6
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.fences.fences[0], 7);
    EXPECT_EQ(node.fences.fences[1], 7);
    node.close();
    EXPECT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
}

TEST(Agent, SaysWhichRankShowsThatTheFenceIsNoBarrier) {
    Node node(2);
    node.fences.is_barrier = false;
    Caller working(node.ranks[1]);
    working.begin(CallClass::one_sided);
    ASSERT_TRUE(eventually([&] { return working.inside.load(); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.page->proof.attempt == 1u; }));
    EXPECT_EQ(node.page->proof.proven, 0u);
    EXPECT_EQ(node.page->proof.bad_rank, 1u);
    EXPECT_STREQ(node.page->proof.reason,
                 "the fence is no barrier: rank 1's value of attempt 1 is missing; "
                 "wants SLURM_PMIX_FENCE=ring, PMIxDirectConn");
    node.close(Outcome::aborted);
    working.finish();
    ASSERT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
}

TEST(Agent, LeavesWithTheOthers) {
    Node node(3);
    std::vector<std::thread> threads;
    std::atomic<int> left{0};
    for (Rank& rank : node.ranks)
        threads.emplace_back([&] {
            if (&rank == &node.ranks[2]) eventually([&] { return node.page->attempt != 0u; });
            rank.agent->leave(true);
            ++left;
        });
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(left, 0) << "nobody leaves before all do";
    node.open();  // reaches one as an attempt, perhaps, and the others as they leave
    EXPECT_TRUE(eventually([&] { return node.page->proof.attempt == 1u; }));
    node.close(Outcome::aborted);
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(node.all_in(RankState::left));
    EXPECT_EQ(node.fences.fences[0], node.fences.fences[2]);
    EXPECT_EQ(node.page->proof.proven, 0u);
    EXPECT_STREQ(node.page->proof.reason, "rank 0 is finalising");
    node.open();
    pass(node.ranks[0], CallClass::one_sided);  // the page is shut, but no longer ours
}

TEST(Agent, LeavesDuringAnAttemptWhateverTheOrder) {
    std::mt19937 random(7);
    for (int round = 0; round < 50; ++round) {
        Node node(3);
        std::vector<std::thread> threads;
        for (Rank& rank : node.ranks)
            threads.emplace_back([&rank, nap = random() % 400] {
                std::this_thread::sleep_for(std::chrono::microseconds(nap));
                rank.agent->leave(true);
            });
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
        node.open();
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 400));
        node.close(Outcome::aborted);
        for (std::thread& thread : threads) thread.join();
        EXPECT_EQ(node.fences.fences[0], node.fences.fences[1]);
        EXPECT_EQ(node.fences.fences[0], node.fences.fences[2]);
    }
}

TEST(Agent, AfterAFailedFenceItRefusesAtOnceAndLeavesAlone) {
    Node node(2);
    node.fences.failure = "PMIx_Fence: TIMEOUT";
    for (int i = 0; i < 2; ++i) {
        const std::uint32_t attempt = node.open();
        ASSERT_TRUE(eventually([&] { return node.page->proof.attempt == attempt; }));
        EXPECT_EQ(node.page->proof.proven, 0U);
        EXPECT_NE(std::string(node.page->proof.reason).find("PMIx_Fence: TIMEOUT"),
                  std::string::npos);
        // Rank 1 has had its one fence in this attempt at the latest.
        ASSERT_TRUE(eventually([&] {
            const std::lock_guard lock(node.fences.mutex);
            return node.fences.fences[1] == 1;
        }));
        node.close(Outcome::aborted);
    }
    ASSERT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
    node.ranks[0].agent->leave(true);
    EXPECT_EQ(node.ranks[0].state(), RankState::left);
    EXPECT_EQ(node.fences.fences[0], 1);
}

TEST(MasterWatch, ClosesTheAttemptOfAMasterThatHasStoppedBeating) {
    constexpr std::int64_t kWait = 1'000'000;
    LinePage page{};
    open_attempt(page, 5, 1);
    MasterWatch watch(page, 3 * kWait);
    for (int i = 0; i < 8; ++i) {
        ++page.beat;
        watch.wait(page.closed, 0, Reach::node, kWait);
        watch.wait(page.closed, 1, Reach::node, kWait);  // returns at once: no evidence
    }
    EXPECT_EQ(page.closed, 0U);
    EXPECT_TRUE(eventually([&] {
        watch.wait(page.closed, 0, Reach::node, kWait);
        return page.closed == 5U;
    }));
    EXPECT_EQ(page.shut, 0U);
    EXPECT_EQ(page.outcome, static_cast<std::uint32_t>(Outcome::aborted));
}

TEST(MasterWatch, CountsFromTheLastBeat) {
    constexpr std::int64_t kWait = 1'000'000;
    LinePage page{};
    open_attempt(page, 5, 1);
    MasterWatch watch(page, 8 * kWait);
    for (int i = 0; i < 5; ++i) {
        ++page.beat;
        watch.wait(page.closed, 0, Reach::node, kWait);
    }
    for (int i = 0; i < 7; ++i) watch.wait(page.closed, 0, Reach::node, kWait);
    EXPECT_EQ(page.closed, 0U);
    watch.wait(page.closed, 0, Reach::node, kWait);
    EXPECT_EQ(page.closed, 5U);
}

TEST(MasterWatch, OpensTheGatesOfAMasterThatDiedBeforeItHadOpenedTheAttempt) {
    constexpr std::int64_t kWait = 1'000'000;
    LinePage page{};
    page.attempt = page.closed = 4;
    page.shut = 1;
    MasterWatch watch(page, 3 * kWait);
    EXPECT_TRUE(eventually([&] {
        watch.wait(page.closed, 4, Reach::node, kWait);
        return page.shut == 0U;
    }));
    EXPECT_EQ(page.closed, 4U);
}

TEST(Agent, WithdrawsAlone) {
    Node node(2);
    node.ranks[0].agent->leave(false);
    EXPECT_EQ(node.ranks[0].state(), RankState::absent);
    EXPECT_EQ(node.fences.fences[0], 0);
}

TEST(Agent, RefusesASlotThatIsTaken) {
    Node node(1);
    Gate gate;
    Agent second(*node.page, 0, gate, std::make_unique<FakeFence>(node.fences, 0));
    EXPECT_EQ(second.start(), "slot 0 of the line page belongs to pid " + std::to_string(getpid()));
    EXPECT_EQ(gate.slot, &gate.spare);
}

TEST(Agent, LetsADisconnectedChildThroughAShutGate) {
    Node node(1);
    node.open();
    const pid_t child = fork();
    if (child == 0) {
        Agent::disconnect(*node.ranks[0].gate);
        pass(node.ranks[0], CallClass::one_sided);
        _exit(node.ranks[0].gate->spare.issued == 1u ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    node.close();
}

// Ranks do random things while attempts come at random moments. With a grace that is never used up
// nothing may be inside a one-sided call between the silence of all and the close.
TEST(Gate, NoOperationBeginsInAThousandSilences) {
    constexpr int kAttempts = 1000;
    Node node(3, 60s);
    node.fences.eager = true;
    std::atomic<bool> silence{false};
    std::atomic<bool> stop{false};
    std::atomic<long> violations{0};
    std::atomic<long> operations{0};
    std::mutex mutex;  // stands for ARMCI's
    std::vector<std::thread> threads;
    for (Rank& rank : node.ranks)
        threads.emplace_back([&, seed = static_cast<unsigned>(&rank - node.ranks.data())] {
            std::mt19937 random(seed);
            Gate& gate = *rank.gate;
            const auto one_sided = [&](bool completes) {
                const GatePass pass(gate, CallClass::one_sided);
                if (silence) ++violations;
                for (volatile unsigned i = random() % 4 ? 100 : random() % 100'000; i != 0;)
                    i = i - 1;
                if (silence) ++violations;
                if (completes) pass.complete(1);
                ++operations;
            };
            while (!stop) {
                switch (random() % 6) {
                    case 0:
                        std::this_thread::sleep_for(std::chrono::microseconds(random() % 100));
                        break;
                    case 1: {
                        {
                            const GatePass pass(gate, CallClass::waiting);
                            mutex.lock();
                            add(gate.held, 1);
                        }
                        for (unsigned i = random() % 8; i != 0; --i) one_sided(true);
                        {
                            const GatePass pass(gate, CallClass::completion);
                            mutex.unlock();
                            add(gate.held, std::uint32_t(-1));
                        }
                        break;
                    }
                    case 2: {
                        const GatePass pass(gate, CallClass::completion);
                        pass.complete(outstanding(*rank.slot));
                        break;
                    }
                    default:
                        one_sided(random() % 2 == 0);
                }
            }
        });
    std::mt19937 random(99);
    long deferred = 0;
    for (int i = 0; i < kAttempts; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
        node.open();
        const bool aborted = random() % 8 == 0;
        if (aborted) {
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
        } else {
            ASSERT_TRUE(eventually([&] { return node.silent(); })) << "attempt " << i;
            ASSERT_EQ(node.page->proof.proven, 1u) << node.page->proof.reason;
            silence = true;
            EXPECT_EQ(node.page->proof.issued,
                      node.page->proof.completed + node.page->proof.deferred);
            deferred += static_cast<long>(node.page->proof.deferred);
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
            silence = false;
        }
        node.close(aborted ? Outcome::aborted : Outcome::released);
    }
    stop = true;
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(violations, 0);
    EXPECT_GT(operations, 1000);
    RecordProperty("operations", static_cast<int>(operations));
    RecordProperty("deferred", static_cast<int>(deferred));
}

}  // namespace
}  // namespace grl::test
