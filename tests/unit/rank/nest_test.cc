// Calls inside others, and calls that were left without a word.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <csetjmp>
#include <csignal>
#include <tuple>

#include "tests/unit/rank/rank_sim.h"

namespace grl::test {
namespace {

using namespace std::chrono_literals;

constexpr auto kAWhile = 30ms;  // long enough to notice what should not happen

// An interposer's function from which the application's error handler jumps. No destructor runs,
// as none does where an exception passes code that knows none.
[[gnu::noinline]] void leave_call(Gate& gate, CallClass call, std::jmp_buf& back) {
    const GatePass pass(gate, call);
    std::longjmp(back, 1);
}

void left_by_a_jump(Gate& gate, CallClass call) {
    std::jmp_buf back;
    if (setjmp(back) == 0) leave_call(gate, call, back);
}

std::atomic<bool> g_silence{false};
std::atomic<int> g_violations{0};

[[gnu::noinline]] void put(Gate& gate) {
    const GatePass pass(gate, CallClass::one_sided);
    if (g_silence) ++g_violations;
    pass.complete(1);
}

// Puts from `depth` frames further down.
[[gnu::noinline]] void put_below(Gate& gate, int depth) {
    if (depth == 0)
        put(gate);
    else
        put_below(gate, depth - 1);
    asm volatile("");  // no tail call: each has its frame
}

struct Left : testing::TestWithParam<std::tuple<bool, CallClass, int>> {
    bool threaded() const { return std::get<0>(GetParam()); }
    CallClass call() const { return std::get<1>(GetParam()); }
    int depth() const { return std::get<2>(GetParam()); }
};

// The one after the left call stops, wherever on the stack it is made.
TEST_P(Left, ACallThatWasLeftIsNotTakenForTheOneAroundTheNext) {
    Node node(1, 10s, threaded());
    Rank& rank = node.ranks[0];
    std::atomic<int> puts{0};
    g_violations = 0;
    std::atomic<bool> stop{false};
    std::thread caller([&] {
        left_by_a_jump(*rank.gate, call());
        while (!stop) {
            put_below(*rank.gate, depth());
            ++puts;
        }
    });
    ASSERT_TRUE(eventually([&] { return puts > 100; }));
    for (int i = 0; i < 3; ++i) {
        node.open();
        ASSERT_TRUE(eventually([&] { return node.silent(); }));
        EXPECT_TRUE(node.proven()) << node.page->proof.reason;
        EXPECT_EQ(node.page->proof.issued, node.page->proof.completed + node.page->proof.deferred);
        g_silence = true;
        std::this_thread::sleep_for(kAWhile / 3);
        g_silence = false;
        const int before = puts;
        node.close();
        ASSERT_TRUE(eventually([&] { return puts > before + 100; }));
    }
    stop = true;
    caller.join();
    EXPECT_EQ(g_violations, 0) << "puts in the silence";
    EXPECT_EQ(rank.gate->active, 0U);
    EXPECT_EQ(rank.call(), threaded() ? CallClass::threads : CallClass::none);
}

INSTANTIATE_TEST_SUITE_P(Calls, Left,
                         testing::Combine(testing::Bool(),
                                          testing::Values(CallClass::waiting, CallClass::one_sided,
                                                          CallClass::completion, CallClass::local),
                                          testing::Values(0, 1, 2, 20)));

TEST(Nest, AnOperationThatALeftCallHadBegunIsOutstanding) {
    Node node(1);
    Rank& rank = node.ranks[0];
    static std::atomic<int> told;
    told = 0;
    rank.gate->ops.abandoned = [](void*) { ++told; };
    left_by_a_jump(*rank.gate, CallClass::one_sided);
    EXPECT_EQ(outstanding(*rank.slot), 1U);
    std::atomic<bool> opened{false};
    std::thread other([&] {
        node.open();
        opened = true;
        eventually([&] { return node.silent(); });
        node.close();
    });
    eventually([&] { return opened.load(); });
    put(*rank.gate);
    other.join();
    EXPECT_EQ(told, 1);
    EXPECT_EQ(rank.slot->issued, 2U);
}

// ---- what is begun inside a call ----

struct Inside : testing::TestWithParam<std::tuple<bool, CallClass>> {
    bool threaded() const { return std::get<0>(GetParam()); }
    CallClass outer() const { return std::get<1>(GetParam()); }
};

// As a reduction's or an attribute's callback does, or an error handler.
TEST_P(Inside, ACallbacksOperationStopsAtASealedGateAndCounts) {
    Node node(1, 5ms, threaded());
    Rank& rank = node.ranks[0];
    std::atomic<bool> go{false};
    std::atomic<bool> inside{false};
    std::atomic<bool> begun{false};
    std::thread caller([&] {
        const GatePass pass(*rank.gate, outer());
        inside = true;
        eventually([&] { return go.load(); });
        put(*rank.gate);
        begun = true;
    });
    ASSERT_TRUE(eventually([&] { return inside.load(); }));
    const std::uint64_t before = rank.slot->issued;
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    go = true;
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(begun);
    EXPECT_EQ(rank.slot->issued, before) << "a parked operation has not begun";
    node.close();
    caller.join();
    EXPECT_TRUE(begun);
    EXPECT_EQ(rank.slot->issued, before + 1);
}

TEST_P(Inside, ACallbacksOperationHoldsTheSilenceUp) {
    Node node(1, 10s, threaded());
    Rank& rank = node.ranks[0];
    std::atomic<bool> end{false};
    std::atomic<bool> inside{false};
    std::thread caller([&] {
        const GatePass pass(*rank.gate, outer());
        {
            const GatePass operation(*rank.gate, CallClass::one_sided);
            inside = true;
            eventually([&] { return end.load(); });
            operation.complete(1);
        }
    });
    ASSERT_TRUE(eventually([&] { return inside.load(); }));
    node.open();
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(rank.state(), RankState::draining);
    end = true;
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    node.close();
    caller.join();
}

INSTANTIATE_TEST_SUITE_P(Calls, Inside,
                         testing::Combine(testing::Bool(),
                                          testing::Values(CallClass::waiting, CallClass::local,
                                                          CallClass::completion,
                                                          CallClass::one_sided)));

// What a library makes its operations of.
TEST(Nest, AnOperationOfALibrarysOwnStopsAtASealedGateAndIsNotCounted) {
    Node node(1, 5ms);
    Rank& rank = node.ranks[0];
    Gate above;
    rank.agent->follow(above);
    std::atomic<bool> go{false};
    std::atomic<bool> inside{false};
    std::atomic<bool> begun{false};
    std::thread caller([&] {
        const GatePass pass(above, CallClass::one_sided);
        inside = true;
        eventually([&] { return go.load(); });
        const GatePass operation(*rank.gate, CallClass::one_sided);
        begun = true;
    });
    ASSERT_TRUE(eventually([&] { return inside.load(); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.page->proof.deferred, 1U);
    go = true;
    std::this_thread::sleep_for(kAWhile);
    EXPECT_FALSE(begun);
    node.close();
    caller.join();
    rank.agent->unfollow(above);
    EXPECT_EQ(rank.slot->issued, 1U);
}

// ---- signal handlers ----

Gate* g_gate;
std::atomic<int> g_begun;

void handler(int) {
    const GatePass pass(*g_gate, CallClass::one_sided);
    pass.complete(1);
    ++g_begun;
}

TEST(Nest, ASignalHandlersOperationStopsWhereItsThreadIsParked) {
    Node node(1);
    Rank& rank = node.ranks[0];
    g_gate = rank.gate.get();
    g_begun = 0;
    std::signal(SIGUSR2, handler);
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    std::thread caller([&] { put(*rank.gate); });
    ASSERT_TRUE(eventually([&] { return rank.call() == CallClass::parked; }));
    pthread_kill(caller.native_handle(), SIGUSR2);
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(g_begun, 0);
    node.close();
    caller.join();
    EXPECT_EQ(g_begun, 1);
    EXPECT_EQ(rank.slot->issued, 2U);
    EXPECT_EQ(rank.call(), CallClass::none);
    std::signal(SIGUSR2, SIG_DFL);
}

// On a stack of its own, which may lie above the thread's.
TEST(Nest, ASignalHandlerOnAnotherStackIsInsideTheCallThatItInterrupts) {
    Node node(1);
    Rank& rank = node.ranks[0];
    g_gate = rank.gate.get();
    g_begun = 0;
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = SA_ONSTACK;
    sigaction(SIGUSR2, &action, nullptr);
    std::atomic<bool> inside{false};
    std::atomic<bool> end{false};
    std::thread caller([&] {
        std::vector<char> room(1 << 16);
        stack_t stack{room.data(), 0, room.size()};
        sigaltstack(&stack, nullptr);
        {
            const GatePass pass(*rank.gate, CallClass::waiting);
            inside = true;
            while (!end) std::this_thread::sleep_for(1ms);
        }
        stack.ss_flags = SS_DISABLE;
        sigaltstack(&stack, nullptr);
    });
    ASSERT_TRUE(eventually([&] { return inside.load(); }));
    pthread_kill(caller.native_handle(), SIGUSR2);
    ASSERT_TRUE(eventually([&] { return g_begun == 1; }));
    EXPECT_EQ(rank.call(), CallClass::waiting);
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); })) << node.page->proof.reason;
    EXPECT_EQ(rank.gate->doubt, 0U);
    pthread_kill(caller.native_handle(), SIGUSR2);
    std::this_thread::sleep_for(kAWhile);
    EXPECT_EQ(g_begun, 1);
    node.close();
    ASSERT_TRUE(eventually([&] { return g_begun == 2; }));
    end = true;
    caller.join();
    std::signal(SIGUSR2, SIG_DFL);
}

// ---- several threads where MPI was initialised for one ----

TEST(Nest, ACallBesideAnotherThreadsPutsTheLineOff) {
    Node node(2);
    Rank& rank = node.ranks[1];
    Caller first(rank);
    first.begin(CallClass::waiting);
    ASSERT_TRUE(eventually([&] { return first.inside.load(); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    std::thread second([&] { put(*rank.gate); });
    ASSERT_TRUE(eventually([&] { return rank.gate->doubt != 0U; }));
    node.close();
    second.join();
    ASSERT_TRUE(eventually([&] { return node.all_in(RankState::running); }));
    node.open();
    ASSERT_TRUE(eventually([&] { return node.page->proof.attempt == node.attempt; }));
    EXPECT_EQ(node.page->proof.proven, 0U);
    EXPECT_EQ(node.page->proof.bad_rank, 1U);
    EXPECT_NE(std::string(node.page->proof.reason).find("on another"), std::string::npos)
        << node.page->proof.reason;
    node.close();
}

TEST(Nest, CallsOfDifferentThreadsOneAfterTheOtherAreWell) {
    Node node(1);
    Rank& rank = node.ranks[0];
    for (int i = 0; i < 20; ++i) std::thread([&] { put(*rank.gate); }).join();
    node.open();
    ASSERT_TRUE(eventually([&] { return node.proven(); }));
    EXPECT_EQ(node.page->proof.issued, 20U);
    node.close();
}

// ---- fork ----

TEST(Nest, AForkInsideACallLeavesTheParentsSlotAlone) {
    Node node(1);
    Rank& rank = node.ranks[0];
    int status = -1;
    {
        const GatePass pass(*rank.gate, CallClass::waiting);
        const std::uint64_t issued = rank.slot->issued;
        const pid_t child = fork();
        if (child == 0) {
            Agent::disconnect(*rank.gate);  // what join.cc has the C library call in a child
            put(*rank.gate);
            left_by_a_jump(*rank.gate, CallClass::one_sided);
            put(*rank.gate);
            _exit(rank.slot->issued == issued ? 0 : 1);
        }
        ASSERT_EQ(waitpid(child, &status, 0), child);
        EXPECT_EQ(status, 0);
        EXPECT_EQ(rank.call(), CallClass::waiting);
    }
    node.open();
    EXPECT_TRUE(eventually([&] { return node.proven(); }));
    node.close();
}

}  // namespace
}  // namespace grl::test
