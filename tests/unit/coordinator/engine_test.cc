// The engine, on a table of its own: what comes late, what is raised from within, what takes too
// long, and which reason stays.
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/describe/enum.hpp>

#include "coordinator/engine/gather.h"
#include "coordinator/engine/table_run.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {
namespace {

//   first ─► second ─► third ─► done
//     └────────┴─────────┴──► undo ─► failed
enum class S { first, second, third, undo, done, failed };
BOOST_DESCRIBE_ENUM(S, first, second, third, undo, done, failed)
enum class E { ok, failed, timeout };
BOOST_DESCRIBE_ENUM(E, ok, failed, timeout)

using T = Transition<S, E>;
constexpr std::array kStates = {
    StateRow<S>{S::first, &Deadlines::prepare_ms},
    StateRow<S>{S::second, &Deadlines::drain_ms},
    StateRow<S>{S::third, nullptr},
    StateRow<S>{S::undo, &Deadlines::release_ms},
    StateRow<S>{S::done, nullptr},
    StateRow<S>{S::failed, nullptr},
};
constexpr std::array kTransitions = {
    T{S::first, E::ok, S::second},     T{S::first, E::failed, S::undo},
    T{S::first, E::timeout, S::undo},  T{S::second, E::ok, S::third},
    T{S::second, E::failed, S::undo},  T{S::second, E::timeout, S::undo},
    T{S::third, E::ok, S::done},       T{S::third, E::failed, S::undo},
    T{S::undo, E::ok, S::failed},      T{S::undo, E::failed, S::failed},
    T{S::undo, E::timeout, S::failed},
};
constexpr std::array kTurnBack = {E::failed, E::timeout};
constexpr StateTable<S, E> kTable{kStates, kTransitions, kTurnBack};

struct Toy : TableRun<S, E> {
    Toy(asio::io_context& io, const Deadlines& deadlines) : TableRun(kTable, deadlines, io) {}
    void act() override {
        entered_states.push_back(state());
        when_all(E::ok);
        if (auto it = acts.find(state()); it != acts.end()) it->second();
    }
    void refused(const std::string& who, const std::shared_ptr<Channel>&,
                 const Error& error) override {
        failed(who + ": " + error.why);
    }
    using TableRun::all_asked;
    using TableRun::ask;
    using TableRun::await;
    using TableRun::fire;
    using TableRun::here;
    std::map<S, std::function<void()>> acts;
    std::vector<S> entered_states;
};

struct Engine : testing::Test {
    asio::io_context io;
    Deadlines deadlines;
    std::shared_ptr<Toy> run;
    std::shared_ptr<Channel> ours, theirs;
    std::vector<std::shared_ptr<Channel::Responder>> asked;

    void SetUp() override {
        using local = asio::local::stream_protocol;
        local::socket a(io), b(io);
        asio::local::connect_pair(a, b);
        ours = std::make_shared<Channel>(Stream(std::move(a)), "peer");
        theirs = std::make_shared<Channel>(Stream(std::move(b)), "us");
        theirs->set_handlers(
            {.event = {},
             .request =
                 [this](const std::string&, const json::object&, Channel::Responder responder) {
                     asked.push_back(std::make_shared<Channel::Responder>(std::move(responder)));
                 },
             .closed = {}});
        ours->start();
        theirs->start();
        run = make();
    }
    void TearDown() override {
        asked.clear();
        ours->close(fail("test", "", "over"));
        theirs->close(fail("test", "", "over"));
        io.run_for(Milliseconds(10));
    }
    std::shared_ptr<Toy> make() { return std::make_shared<Toy>(io, deadlines); }
    bool until(const std::function<bool()>& good) {
        for (int i = 0; i < 10'000 && !good(); ++i) io.run_one_for(Milliseconds(1));
        return good();
    }
    void settle() { io.run_for(Milliseconds(20)); }
};

TEST_F(Engine, AReplyThatComesAfterItsStateIsPassedOver) {
    int taken = 0;
    run->acts[S::first] = [&] {
        run->ask<Done>("h1", ours, Heartbeat{}, [&](const Done&) { ++taken; });
    };
    run->acts[S::second] = [&] { run->await("h2"); };
    run->start();
    ASSERT_TRUE(until([&] { return asked.size() == 1; }));
    run->fire(E::ok);
    EXPECT_EQ(run->state(), S::second);
    asked[0]->reply(Done{});
    settle();
    EXPECT_EQ(taken, 0);
    EXPECT_EQ(run->state(), S::second);
}

TEST_F(Engine, ACallbackOfAnOlderStateOrOfARunThatIsGoneIsPassedOver) {
    int calls = 0;
    std::function<void()> first;
    run->acts[S::first] = [&] { first = run->here([&] { ++calls; }); };
    run->start();
    first();
    EXPECT_EQ(calls, 1);
    run->fire(E::ok);
    first();
    EXPECT_EQ(calls, 1);
    std::function<void()> second = run->here([&] { ++calls; });
    run.reset();
    second();
    EXPECT_EQ(calls, 1);
}

TEST_F(Engine, WhatAStateRaisesIsTakenWhenItIsEnteredAndInOrder) {
    run->acts[S::first] = [&] {
        run->fire(E::ok);
        run->fire(E::ok);
        EXPECT_EQ(run->state(), S::first) << "not from within";
    };
    run->acts[S::third] = [&] { run->fire(E::failed, "no"); };
    run->start();
    EXPECT_EQ(run->entered_states, (std::vector{S::first, S::second, S::third, S::undo}));
    EXPECT_EQ(run->reason(), "no");
}

TEST_F(Engine, TheLastAnswerLeadsOn) {
    run->acts[S::first] = [&] {
        for (const char* who : {"h1", "h2"}) run->ask<Done>(who, ours, Heartbeat{});
    };
    run->start();
    ASSERT_TRUE(until([&] { return asked.size() == 2; }));
    asked[1]->reply(Done{});
    settle();
    EXPECT_EQ(run->state(), S::first);
    asked[0]->reply(Done{});
    EXPECT_TRUE(until([&] { return run->state() == S::second; }));
}

TEST_F(Engine, AStateThatFindsNobodyToAskIsDoneWith) {
    run->acts[S::first] = [&] { run->all_asked(); };
    run->start();
    EXPECT_EQ(run->state(), S::second);
}

TEST_F(Engine, AStateThatTakesTooLongNamesWhoDoesNotAnswer) {
    deadlines.prepare_ms = 20;
    run = make();
    run->acts[S::first] = [&] {
        for (const char* who : {"host h1", "host h2"}) run->ask<Done>(who, ours, Heartbeat{});
    };
    run->start();
    ASSERT_TRUE(until([&] { return asked.size() == 2; }));
    asked[0]->reply(Done{});
    ASSERT_TRUE(until([&] { return run->state() == S::undo; }));
    EXPECT_EQ(run->reason(), "first took longer than 20 ms: no answer from host h2");
}

TEST_F(Engine, TheDeadlineOfAStateThatWasLeftIsNone) {
    deadlines.prepare_ms = 1;
    run = make();
    run->acts[S::first] = [&] { run->fire(E::ok); };
    run->acts[S::second] = [&] { run->fire(E::ok); };
    run->start();
    io.run_for(kGrace + Milliseconds(50));
    EXPECT_EQ(run->state(), S::third);
}

TEST_F(Engine, TheFirstReasonIsKept) {
    run->start();
    run->fire(E::failed, "the first");
    run->fire(E::failed, "the second");
    EXPECT_TRUE(run->over());
    EXPECT_EQ(run->state(), S::failed);
    EXPECT_EQ(run->reason(), "the first");
}

TEST_F(Engine, OneThatIsAbandonedDoesNothingMore) {
    int taken = 0;
    run->acts[S::first] = [&] {
        run->ask<Done>("h1", ours, Heartbeat{}, [&](const Done&) { ++taken; });
    };
    run->start();
    ASSERT_TRUE(until([&] { return asked.size() == 1; }));
    run->abandon();
    asked[0]->reply(Done{});
    settle();
    EXPECT_EQ(taken, 0);
    EXPECT_EQ(run->state(), S::first);
}

TEST_F(Engine, AGatherEndsOnceWithTheLastAnswer) {
    std::vector<int> ends;
    Gather<int> gather(0, [&](int& sum) { ends.push_back(sum); });
    auto take = [](int& sum, int answer) { sum += answer; };
    auto one = gather.one(take);
    auto two = gather.one(take);
    one(1);  // inside the call that asks
    gather.all_asked();
    EXPECT_TRUE(ends.empty());
    two(2);
    EXPECT_EQ(ends, std::vector{3});
    Gather<int> none(7, [&](int& sum) { ends.push_back(sum); });
    none.all_asked();
    EXPECT_EQ(ends, (std::vector{3, 7}));
}

}  // namespace
}  // namespace grl::coordinator
