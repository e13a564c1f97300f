// What a master promises, against a coordinator at the other end of a socketpair and ranks that are
// words written into the page.
#include "spank/master.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdlib>
#include <limits>
#include <thread>

#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "grl/page/futex.h"
#include "spank/page_watcher.h"
#include "spank/silence.h"

extern "C" {
#include "spank/start.h"
}

namespace grl {
namespace {

constexpr std::uint32_t kLocal = 2;
constexpr std::uint32_t kStepRanks = 6;
constexpr int kDeadPid = 999'999;

struct FakeClock final : GuestClock {
    int noted = 0;
    int caught_up = 0;
    std::int64_t stepped_to = 0;
    int steps = 0;
    bool backward = false;
    void note() override { ++noted; }
    void catch_up() override { ++caught_up; }
    void step_to(std::int64_t now_ns, bool back) override {
        stepped_to = now_ns;
        backward = back;
        ++steps;
    }
};

struct MasterTest : testing::Test {
    asio::io_context io;
    std::string path = "/dev/shm/grl-test-" + std::to_string(getpid());
    FakeClock clock;
    LinePageFile page = *LinePageFile::create(path, kLocal, kStepRanks, getuid());
    LinePage* words = nullptr;  // as a rank maps it
    std::shared_ptr<Channel> coordinator;
    std::vector<bool> rolled_back;
    std::vector<StepState> states;
    int heartbeats = 0;
    bool reachable = true;
    int tries = 0;
    std::vector<std::string> connected;  // "" or the reason
    std::unique_ptr<Master> master;
    std::unique_ptr<PageWatcher> watcher;

    void SetUp() override {
        const Fd file(open(path.c_str(), O_RDWR));
        words = static_cast<LinePage*>(mmap(nullptr, line_page_bytes(kLocal),
                                            PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
        ASSERT_NE(words, MAP_FAILED);
        StepFacts facts;
        facts.job = 7;
        facts.step = 1;
        facts.node = "g2";
        facts.nodes = 3;
        facts.ranks = kStepRanks;
        facts.local_ranks = kLocal;
        master = std::make_unique<Master>(
            io, facts, page, clock, [](std::int32_t pid) { return pid != kDeadPid; },
            [this](const Link::Opened& done) { connect(done); },
            [this](const Error* why) { connected.push_back(why ? why->text() : ""); },
            [this] { rolled_back.push_back(words->closed < words->attempt); });
        watcher =
            std::make_unique<PageWatcher>(io, page.events(), [this] { master->page_changed(); });
        master->start();
        ASSERT_TRUE(until([&] { return !states.empty(); }));
    }
    void TearDown() override {
        watcher.reset();
        master.reset();
        if (words != nullptr) munmap(words, line_page_bytes(kLocal));
    }

    void connect(const Link::Opened& done) {
        ++tries;
        if (!reachable) return done(fail("connecting", "", "nobody there", ErrorKind::unreachable));
        asio::local::stream_protocol::socket a(io), b(io);
        asio::local::connect_pair(a, b);
        coordinator = std::make_shared<Channel>(Stream(std::move(a)), "master");
        Channel::Handlers handlers;
        handlers.event = [this](const std::string& type, const json::object& body) {
            if (type == StepState::kType) states.push_back(*from_json<StepState>(body, type));
            heartbeats += type == Heartbeat::kType;
        };
        coordinator->set_handlers(handlers);
        coordinator->start();
        done(std::make_shared<Channel>(Stream(std::move(b)), "coordinator"));
    }

    template <class Condition>
    bool until(Condition condition, int ms = 5000) {
        const auto end = std::chrono::steady_clock::now() + Milliseconds(ms);
        while (!condition()) {
            if (std::chrono::steady_clock::now() > end) return false;
            io.restart();
            io.run_one_for(Milliseconds(20));
        }
        return true;
    }
    void run(int ms) {
        until([] { return false; }, ms);
    }

    template <class Reply, class Message>
    std::shared_ptr<std::optional<Result<Reply>>> ask(const Message& message) {
        auto answer = std::make_shared<std::optional<Result<Reply>>>();
        coordinator->request<Reply>(message, Milliseconds(8000),
                                    [answer](Result<Reply> r) { *answer = std::move(r); });
        return answer;
    }
    auto drain(std::uint32_t attempt, std::uint32_t limit_ms = 4000,
               std::uint32_t failsafe_ms = 60000) {
        Drain order;
        order.line = 40 + attempt;
        order.attempt = attempt;
        order.limit_ms = limit_ms;
        order.failsafe_ms = failsafe_ms;
        return ask<Silent>(order);
    }
    auto release(std::uint32_t attempt, bool aborted = false, std::uint32_t generation = 0) {
        Release order;
        order.line = 40 + attempt;
        order.attempt = attempt;
        order.aborted = aborted;
        order.generation = generation;
        order.now_ns = 12345;
        return ask<Done>(order);
    }

    void event() {
        words->events.fetch_add(1);
        futex_wake(words->events, Reach::node);
    }
    void set(std::uint32_t slot, RankState state, std::uint32_t attempt = 0) {
        RankSlot& s = slots_of(words)[slot];
        s.rank = 4 + slot;
        s.pid = 100 + static_cast<int>(slot);
        s.attempt = attempt;
        s.state = static_cast<std::uint32_t>(state);
        event();
    }
    void set_all(RankState state, std::uint32_t attempt = 0) {
        for (std::uint32_t i = 0; i < kLocal; ++i) set(i, state, attempt);
    }
    void prove(std::uint32_t attempt, bool proven = true, const char* reason = "") {
        ProofWords& p = words->proof;
        p.proven = proven ? 1 : 0;
        p.ranks = kStepRanks;
        p.issued = 100;
        p.completed = 97;
        p.deferred = 3;
        p.at_ns = 1;  // of another clock, or a lie
        snprintf(p.reason, sizeof p.reason, "%s", reason);
        p.attempt = attempt;
        event();
    }
    void fall_silent(std::uint32_t attempt) {
        prove(attempt);
        set_all(RankState::silent, attempt);
    }
    // Drains `attempt` to silence.
    void to_silence(std::uint32_t attempt, std::uint32_t failsafe_ms = 60000) {
        set_all(RankState::running, attempt - 1);
        const auto answer = drain(attempt, 4000, failsafe_ms);
        ASSERT_TRUE(until([&] { return words->attempt == attempt; }));
        fall_silent(attempt);
        ASSERT_TRUE(until([&] { return answer->has_value(); }));
        ASSERT_TRUE(**answer) << (*answer)->error().text();
    }
    bool is_open(std::uint32_t attempt, Outcome outcome) const {
        return words->shut == 0 && words->closed == attempt && words->attempt == attempt &&
               words->outcome == static_cast<std::uint32_t>(outcome);
    }
    template <class Answer>
    std::string error_of(const Answer& answer) {
        if (!until([&] { return answer->has_value(); })) return "no answer";
        return **answer ? "" : (*answer)->error().text();
    }
};

TEST_F(MasterTest, TellsTheStepOnConnecting) {
    EXPECT_EQ(states[0].job, 7U);
    EXPECT_EQ(states[0].node, "g2");
    EXPECT_EQ(states[0].local_ranks, kLocal);
    EXPECT_EQ(states[0].ranks, kStepRanks);
    EXPECT_EQ(states[0].joined, 0U);
    EXPECT_TRUE(states[0].closed);
    EXPECT_EQ(connected, std::vector<std::string>{""});
}

TEST_F(MasterTest, TellsWhoJoinsAndWhoLeaves) {
    set(0, RankState::running);
    EXPECT_TRUE(until([&] { return states.back().joined == 1; }));
    set(1, RankState::running);
    EXPECT_TRUE(until([&] { return states.back().joined == 2; }));
    set(1, RankState::leaving);
    EXPECT_TRUE(until([&] { return states.back().leaving == 1; }));
    EXPECT_EQ(states.back().joined, 2U);
}

TEST_F(MasterTest, TasksWaitForTheOtherNodes) {
    std::thread task([&] { EXPECT_TRUE(grl_start_together(page.path().c_str(), 60)); });
    EXPECT_TRUE(until([&] { return states.back().forked; }));
    coordinator->send(Start{});
    EXPECT_TRUE(until([&] { return words->go == 1; }));
    task.join();
    EXPECT_TRUE(grl_start_together(page.path().c_str(), 60)) << "the word stands";
}

TEST_F(MasterTest, ATaskGoesOnWithoutTheWord) {
    EXPECT_FALSE(grl_start_together(page.path().c_str(), 1));
    EXPECT_FALSE(grl_start_together("/nowhere/page", 60));
}

TEST_F(MasterTest, ARankThatTogglesDoesNotFloodTheCoordinator) {
    for (int i = 0; i < 2000; ++i) {
        set(0, i % 2 == 0 ? RankState::running : RankState::absent);
        io.restart();
        io.run_one_for(std::chrono::microseconds(100));
    }
    run(100);
    EXPECT_LT(states.size(), 40U);
    set(0, RankState::running);
    EXPECT_TRUE(until([&] { return states.back().joined == 1; }));
}

TEST_F(MasterTest, ReportsSilenceWithItsProof) {
    set_all(RankState::running);
    const auto answer = drain(1);
    ASSERT_TRUE(until([&] { return words->attempt == 1; }));
    EXPECT_EQ(words->shut, 1U);
    EXPECT_EQ(words->line, 41U);
    EXPECT_GT(words->grace_ns, 0);
    EXPECT_EQ(clock.noted, 1);
    set_all(RankState::draining);
    run(50);
    EXPECT_FALSE(answer->has_value());
    prove(1);
    set(0, RankState::silent, 1);
    run(50);
    EXPECT_FALSE(answer->has_value()) << "one rank is still draining";
    set(1, RankState::silent, 1);
    ASSERT_EQ(error_of(answer), "");
    const Silent& silent = ***answer;
    EXPECT_EQ(silent.attempt, 1U);
    EXPECT_EQ(silent.proof.ranks, kStepRanks);
    EXPECT_EQ(silent.proof.issued, 100U);
    EXPECT_EQ(silent.proof.deferred, 3U);
    EXPECT_GE(silent.silent_at_ns, silent.shut_at_ns);
    EXPECT_EQ(words->shut, 1U);
}

TEST_F(MasterTest, ReleaseOpensTheGatesAndMayBeRepeated) {
    to_silence(1);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(error_of(release(1, false, 3)), "");
        EXPECT_TRUE(is_open(1, Outcome::released));
        EXPECT_EQ(words->generation, 3U);
        EXPECT_EQ(clock.stepped_to, 12345);
    }
    EXPECT_EQ(rolled_back, std::vector<bool>{true}) << "once, with the gates still shut";
    to_silence(2);
    EXPECT_EQ(error_of(release(1)), "") << "of an attempt that is long over";
    EXPECT_EQ(words->shut, 1U) << "it does not open the next";
    EXPECT_EQ(error_of(release(2, true)), "");
    EXPECT_TRUE(is_open(2, Outcome::aborted));
}

TEST_F(MasterTest, RefusesWhileARankHasNotJoined) {
    set(0, RankState::running);
    EXPECT_NE(error_of(drain(1)).find("local rank 1 on g2: has not joined"), std::string::npos);
    EXPECT_EQ(words->shut, 0U);
    EXPECT_EQ(words->attempt, 0U);
}

TEST_F(MasterTest, RefusesWhileARankLeavesOrIsDead) {
    set_all(RankState::running);
    set(1, RankState::leaving);
    const auto leaving = drain(1);
    EXPECT_NE(error_of(leaving).find("rank 5 on g2: finalising"), std::string::npos);
    EXPECT_EQ((*leaving)->error().kind, ErrorKind::refused);
    set_all(RankState::running);
    slots_of(words)[0].pid = kDeadPid;
    EXPECT_NE(error_of(drain(1)).find("rank 4 on g2: its process 999999 is dead"),
              std::string::npos);
    slots_of(words)[0].pid = -1;
    EXPECT_NE(error_of(drain(1)).find("dead"), std::string::npos) << "kill(-1) is not asked";
    EXPECT_EQ(words->shut, 0U);
}

TEST_F(MasterTest, PastItsLimitItNamesWhoHoldsTheLineUpAndOpens) {
    set_all(RankState::running);
    const auto answer = drain(1, 150);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    RankSlot& slot = slots_of(words)[1];
    slot.call = static_cast<std::uint32_t>(CallClass::one_sided);
    slot.issued = 8;
    slot.completed = 5;
    set(0, RankState::fencing);
    set(1, RankState::draining);
    const std::string error = error_of(answer);
    EXPECT_NE(error.find("rank 4 on g2: waiting in the fence"), std::string::npos) << error;
    EXPECT_NE(error.find("rank 5 on g2: draining, in a one-sided call, 3 operations outstanding"),
              std::string::npos)
        << error;
    EXPECT_TRUE(is_open(1, Outcome::aborted));
    EXPECT_EQ(error_of(release(1, true)), "");
}

TEST_F(MasterTest, InDebugModeItNamesTheOperationThatIsOutstanding) {
    set_all(RankState::running);
    const auto answer = drain(1, 150);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    RankSlot& slot = slots_of(words)[1];
    slot.issued = 3;
    RankTrace& trace = traces_of(words, kLocal)[1];
    trace.target = 4;
    trace.since_ns = monotonic_ns() - 10'000'000'000;
    snprintf(trace.call, sizeof trace.call, "ARMCI_NbPut\033[2J");
    set(1, RankState::draining);
    const std::string error = error_of(answer);
    EXPECT_NE(error.find("3 operations outstanding for 10."), std::string::npos) << error;
    EXPECT_NE(error.find("the last ARMCI_NbPut?[2J to rank 4"), std::string::npos) << error;
}

// The page is the user's: a time beyond all bounds is none.
TEST_F(MasterTest, ATimeThatCannotBeIsNotSaid) {
    for (const std::int64_t since : {std::numeric_limits<std::int64_t>::min(),
                                     std::numeric_limits<std::int64_t>::max()}) {
        RankWords rank;
        rank.state = RankState::draining;
        rank.issued = 1;
        rank.last_call = "MPI_Put";
        rank.since_ns = since;
        const std::string who = who_is_not_silent({rank}, {}, 1, "g1");
        EXPECT_NE(who.find("the last MPI_Put"), std::string::npos) << who;
        EXPECT_EQ(who.find(" for "), std::string::npos) << who;
    }
}

TEST_F(MasterTest, ABadProofIsAnErrorWithItsReason) {
    set_all(RankState::running);
    const auto answer = drain(1);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    prove(1, false, "rank 3 is finalising\n\x1b[2J");
    EXPECT_NE(error_of(answer).find("rank 3 is finalising??[2J"), std::string::npos);
    EXPECT_TRUE(is_open(1, Outcome::aborted));
}

TEST_F(MasterTest, AProofThatDoesNotAddUpIsNone) {
    std::uint32_t attempt = 0;
    const std::function<void(ProofWords&)> lies[] = {
        [](ProofWords& p) { p.ranks = kStepRanks - 1; },
        [](ProofWords& p) { p.deferred = 0; },
        [](ProofWords& p) { p.completed = 101; },
    };
    for (const auto& lie : lies) {
        set_all(RankState::running, attempt);
        const auto answer = drain(++attempt);
        ASSERT_TRUE(until([&] { return words->shut == 1; }));
        prove(attempt - 1);
        lie(words->proof);
        words->proof.attempt = attempt;
        set_all(RankState::silent, attempt);
        EXPECT_NE(error_of(answer).find("does not add up"), std::string::npos);
        EXPECT_TRUE(is_open(attempt, Outcome::aborted));
    }
}

TEST_F(MasterTest, SilenceOfAnotherAttemptDoesNotCount) {
    to_silence(1);
    EXPECT_EQ(error_of(release(1)), "");
    const auto answer = drain(2, 300);
    run(100);
    EXPECT_FALSE(answer->has_value()) << "the slots and the proof are of attempt 1";
    set_all(RankState::silent, 2);
    EXPECT_NE(error_of(answer).find("no proof on g2"), std::string::npos);
}

TEST_F(MasterTest, ARankLostInTheDrainEndsItAtOnce) {
    set_all(RankState::running);
    const auto answer = drain(1);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    set(0, RankState::fencing);
    slots_of(words)[1].pid = kDeadPid;  // no event: a dead rank tells nothing
    EXPECT_NE(error_of(answer).find("rank 5 on g2: its process"), std::string::npos);
    EXPECT_TRUE(is_open(1, Outcome::aborted));
}

TEST_F(MasterTest, GarbageInThePageHarmsOnlyTheLine) {
    set_all(RankState::running);
    const auto answer = drain(1, 400);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    memset(static_cast<void*>(words), 0xa5, line_page_bytes(kLocal));
    event();
    EXPECT_NE(error_of(answer), "");
    EXPECT_TRUE(is_open(1, Outcome::aborted)) << "by the master's own numbers";
    words->attempt = 77;
    set_all(RankState::running);
    const auto next = drain(2);
    ASSERT_TRUE(until([&] { return words->attempt == 2; }));
    fall_silent(2);
    EXPECT_EQ(error_of(next), "");
}

TEST_F(MasterTest, WithoutAWordTheFailsafeOpensTheGates) {
    to_silence(1, 200);
    run(100);
    EXPECT_EQ(words->shut, 1U);
    EXPECT_TRUE(until([&] { return words->shut == 0; }));
    EXPECT_TRUE(is_open(1, Outcome::aborted));
    EXPECT_TRUE(until([&] { return states.back().attempt == 1 && states.back().closed; }));
    EXPECT_EQ(error_of(release(1)), "");
    EXPECT_TRUE(is_open(1, Outcome::aborted));
}

TEST_F(MasterTest, AttemptsDoNotOverlapOrGoBack) {
    to_silence(3);
    EXPECT_NE(error_of(drain(4)).find("not over"), std::string::npos);
    EXPECT_EQ(error_of(release(3)), "");
    EXPECT_NE(error_of(drain(3)).find("does not follow"), std::string::npos);
    EXPECT_NE(error_of(drain(2)).find("does not follow"), std::string::npos);
    EXPECT_EQ(words->shut, 0U);
}

TEST_F(MasterTest, AMissedAttemptIsOverBeforeTheNextBegins) {
    set_all(RankState::running);
    const auto answer = drain(4);
    ASSERT_TRUE(until([&] { return words->attempt == 4; }));
    EXPECT_EQ(words->closed, 3U) << "agents that make up for 1 to 3 must not wait in them";
    fall_silent(4);
    EXPECT_EQ(error_of(answer), "");
}

TEST_F(MasterTest, ReleaseOfAMissedAttemptCallsTheAgentsToItsFence) {
    set(0, RankState::running);
    EXPECT_NE(error_of(drain(1)), "") << "not all have joined";
    EXPECT_EQ(error_of(release(1, true)), "");
    EXPECT_TRUE(is_open(1, Outcome::aborted));
    EXPECT_NE(error_of(drain(1)), "");
}

TEST_F(MasterTest, OnlyAReleaseThatEndsAnAttemptOrRollsBackStepsTheClock) {
    const auto missed = release(3);
    ASSERT_TRUE(until([&] { return missed->has_value(); }));
    EXPECT_EQ(clock.steps, 0);
    EXPECT_TRUE(until([&] { return states.back().attempt == 3; })) << "it has caught up";
    const auto rollback = release(3, false, 1);
    ASSERT_TRUE(until([&] { return rollback->has_value(); }));
    EXPECT_EQ(clock.steps, 1);
    EXPECT_TRUE(clock.backward);
    const auto again = release(3, false, 1);
    ASSERT_TRUE(until([&] { return again->has_value(); }));
    EXPECT_EQ(clock.steps, 1);
}

TEST_F(MasterTest, ReleaseInTheDrainAnswersBoth) {
    set_all(RankState::running);
    const auto answer = drain(1);
    ASSERT_TRUE(until([&] { return words->shut == 1; }));
    EXPECT_EQ(error_of(release(1, true)), "");
    EXPECT_NE(error_of(answer).find("the coordinator ended it"), std::string::npos);
    EXPECT_TRUE(is_open(1, Outcome::aborted));
}

TEST_F(MasterTest, ALostCoordinatorHarmsNothingAndIsFoundAgain) {
    reachable = false;
    coordinator->close(fail("", "", ""));
    EXPECT_TRUE(until([&] { return tries >= 4; }));
    EXPECT_EQ(words->shut, 0U);
    EXPECT_NE(connected.back(), "");
    EXPECT_EQ(clock.caught_up, 0) << "with open gates no time can have been lost";
    set_all(RankState::running);
    reachable = true;
    EXPECT_TRUE(until([&] { return states.back().joined == 2; }));
    EXPECT_EQ(connected.back(), "");
}

TEST_F(MasterTest, ARestoredMasterCatchesUpAndTellsItsOpenAttempt) {
    to_silence(1);
    coordinator->close(fail("", "", "rolled back"), true);
    const auto before = states.size();
    EXPECT_TRUE(until([&] { return states.size() > before; }));
    EXPECT_GE(clock.caught_up, 1);
    EXPECT_FALSE(states.back().closed);
    EXPECT_EQ(states.back().attempt, 1U);
    EXPECT_EQ(states.back().line, 41U);
    EXPECT_EQ(words->shut, 1U);
    EXPECT_EQ(error_of(release(1, false, 1)), "");
    EXPECT_TRUE(is_open(1, Outcome::released));
    EXPECT_EQ(words->generation, 1U);
    EXPECT_TRUE(until([&] { return states.back().closed; })) << "it has told otherwise before";
    EXPECT_EQ(states.back().generation, 1U);
}

TEST_F(MasterTest, ThePageShowsThatItLives) {
    const std::uint32_t beat = words->beat;
    EXPECT_GT(beat, 0U);
    EXPECT_TRUE(until([&] { return words->beat != beat; }));
}

TEST_F(MasterTest, BeatsTenTimesASecondWhileShut) {
    to_silence(1);
    heartbeats = 0;
    run(1000);
    EXPECT_GE(heartbeats, 6);
    EXPECT_EQ(error_of(release(1)), "");
    run(50);
    heartbeats = 0;
    run(800);
    EXPECT_LE(heartbeats, 1);
}

TEST_F(MasterTest, BadOrdersAreAnswered) {
    set_all(RankState::running);
    EXPECT_NE(error_of(drain(1, 0)), "");
    EXPECT_NE(error_of(drain(1, 100, 0)), "");
    EXPECT_NE(error_of(drain(0)), "");
    EXPECT_NE(error_of(ask<Done>(Heartbeat{})).find("drain and release"), std::string::npos);
    auto answer = std::make_shared<std::optional<Result<json::object>>>();
    coordinator->request_raw("drain", {{"line", "x"}}, Milliseconds(1000),
                             [answer](Result<json::object> r) { *answer = std::move(r); });
    EXPECT_NE(error_of(answer), "");
    EXPECT_EQ(words->shut, 0U);
}

TEST_F(MasterTest, EndingOpensTheGatesAndRemovesThePage) {
    to_silence(1);
    watcher.reset();
    master.reset();
    EXPECT_TRUE(is_open(1, Outcome::aborted));
    { const LinePageFile gone = std::move(page); }
    EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(LinePageFileTest, IsTheOwnersAloneAndReplacesWhatIsThere) {
    const std::string path = "/dev/shm/grl-test-file-" + std::to_string(getpid());
    ASSERT_EQ(symlink("/etc/hostname", path.c_str()), 0);
    Result<LinePageFile> first = LinePageFile::create(path, 3, 9, getuid());
    ASSERT_TRUE(first) << first.error().text();
    struct stat status {};
    ASSERT_EQ(lstat(path.c_str(), &status), 0);
    EXPECT_TRUE(S_ISREG(status.st_mode));
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    EXPECT_EQ(status.st_size, static_cast<off_t>(line_page_bytes(3)));
    {
        Result<LinePageFile> second = LinePageFile::create(path, 1, 1, getuid());
        ASSERT_TRUE(second);
        { const LinePageFile ended = std::move(*first); }
        EXPECT_EQ(access(path.c_str(), F_OK), 0)
            << "the earlier step's end leaves the later's page";
    }
    EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(LinePageFileTest, TellsWhyItCannotBeMade) {
    const auto page = LinePageFile::create("/nonexistent/page", 1, 1, getuid());
    ASSERT_FALSE(page);
    EXPECT_NE(page.error().text().find("No such file"), std::string::npos);
}

}  // namespace
}  // namespace grl
