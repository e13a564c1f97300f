// Lines from request to commit, with made-up bridges and masters over real channels. What fails is
// first: after it the job runs and the earlier line stands.
#include <gtest/gtest.h>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/reports.h"
#include "tests/unit/coordinator/world.h"

namespace grl::coordinator {
namespace {

struct CoordinatorLines : testing::Test {
    World w;

    // The line failed with `why` in it; everyone was told, nothing of it is left.
    void expect_undone(const Result<LineReport>& line, const std::string& why, int aborts) {
        ASSERT_FALSE(line) << "the line was committed";
        EXPECT_EQ(line.error().kind, ErrorKind::failed);
        EXPECT_NE(line.error().why.find(why), std::string::npos) << line.error().why;
        int told = 0;
        for (const auto& [name, b] : w.bridges) told += w.count(name + " abort_line");
        EXPECT_EQ(told, aborts);
        EXPECT_TRUE(w.coordinator->lines().all().empty());
    }
    void expect_released(bool aborted) {
        for (const char* g : {"g1", "g2", "g3"}) {
            ASSERT_FALSE(w.master(g).releases.empty()) << g;
            EXPECT_EQ(w.master(g).releases.back().aborted, aborted) << g;
            EXPECT_TRUE(w.master(g).state.closed) << g;
        }
    }
    // And the next line is good.
    void expect_next_is_good() {
        auto line = w.line();
        ASSERT_TRUE(line) << line.error().text();
        EXPECT_EQ(line->phase, Phase::done);
        expect_released(false);
    }
};

TEST_F(CoordinatorLines, ABridgeThatDiesInCaptureAbortsAll) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").late.insert(CaptureLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 capture_line") == 2; }));
    w.bridge("h2").die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    expect_undone(*outcome, "host h2 is lost", 2);
    for (const char* g : {"g1", "g3"}) EXPECT_TRUE(w.master(g).releases.back().aborted);
    EXPECT_EQ(w.directory.size(), 1U);
}

TEST_F(CoordinatorLines, AMasterThatNeverFallsSilentAbortsAtTheDeadline) {
    w.ready();
    w.master("g3").silent = false;
    auto line = w.line();
    expect_undone(line, "drain took longer than 300 ms: no answer from node g3", 3);
    expect_released(true);
    EXPECT_EQ(w.count("h1 freeze_line"), 0);
    w.master("g3").silent = true;
    expect_next_is_good();
    EXPECT_EQ(w.master("g1").releases.back().attempt, 2U);
}

TEST_F(CoordinatorLines, TasksGoOnOnceThoseOfAllNodesAreForked) {
    w.ready();
    for (const char* node : {"g1", "g2"}) {
        w.master(node).state.forked = true;
        w.master(node).tell();
    }
    w.settle();
    EXPECT_EQ(w.count("g1 start"), 0);
    w.master("g3").state.forked = true;
    w.master("g3").tell();
    ASSERT_TRUE(w.until([&] { return w.count("g1 start") + w.count("g2 start") == 2; }));
    ASSERT_TRUE(w.until([&] { return w.count("g3 start") == 1; }));
    w.master("g1").tell();
    w.settle();
    EXPECT_EQ(w.count("g1 start"), 1);
    w.master("g1").die();
    w.settle();
    w.master("g1").connect();
    EXPECT_TRUE(w.until([&] { return w.count("g1 start") == 2; })) << "it may have missed the word";
}

TEST_F(CoordinatorLines, AMasterThatSaysNoAbortsWithItsReason) {
    w.ready();
    w.master("g2").refuses = "rank 3 is finalising";
    expect_undone(w.line(), "rank 3 is finalising", 3);
    w.master("g2").refuses.clear();
    expect_next_is_good();
}

TEST_F(CoordinatorLines, ARehearsalTouchesNoGuestAndLeavesNoLine) {
    w.ready();
    const auto outcome = w.rehearsal();
    ASSERT_TRUE(outcome) << outcome.error().text();
    EXPECT_EQ(outcome->phase, Phase::done);
    EXPECT_GT(outcome->proof.ranks, 0U);
    expect_released(false);
    for (const char* word : {"prepare_line", "freeze_line", "capture_line", "abort_line"})
        EXPECT_EQ(w.count(std::string("h1 ") + word), 0) << word;
    EXPECT_TRUE(w.directory.empty());
    expect_next_is_good();
}

TEST_F(CoordinatorLines, ARehearsalThatFailsOpensTheGates) {
    w.ready();
    w.master("g2").refuses = "rank 3 is finalising";
    const auto outcome = w.rehearsal();
    expect_undone(outcome, "rank 3 is finalising", 0);
    w.master("g2").refuses.clear();
    expect_next_is_good();
}

// No bridge resumes anything there, which a line's would have to before.
TEST_F(CoordinatorLines, AMasterThatIsBackAtARehearsalsReleaseIsReleased) {
    w.ready();
    w.master("g2").answers = false;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().rehearse(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("g2 release") == 1; }));
    w.master("g2").answers = true;
    w.master("g2").die();
    w.settle();
    w.master("g2").connect();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome) << outcome->error().text();
    EXPECT_EQ(w.count("g2 release"), 2);
    expect_released(false);
}

TEST_F(CoordinatorLines, AMasterThatIsLostInDrainAborts) {
    w.ready();
    w.master("g2").silent = false;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("g2 drain") == 1; }));
    w.master("g2").die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    expect_undone(*outcome, "g2 is lost", 3);
}

TEST_F(CoordinatorLines, ProofsThatDifferAbort) {
    w.ready();
    w.master("g2").proof_ranks = 5;
    expect_undone(w.line(), "differ", 3);
    expect_released(true);
}

// ---- holds ----

struct CoordinatorHolds : CoordinatorLines {
    std::optional<Result<HeldJob>> held;

    void ask(std::uint32_t limit_s = 0, bool checkpoint = false) {
        held.reset();
        w.coordinator->holds().hold({kJob, limit_s, checkpoint},
                                    {{}, [this](auto r) { held = std::move(r); }});
        ASSERT_TRUE(w.until([&] { return held.has_value(); }));
    }
    Result<LineReport> let_go() {
        std::optional<Result<LineReport>> outcome;
        w.coordinator->holds().let_go(kJob, {{}, [&](auto r) { outcome = std::move(r); }});
        EXPECT_TRUE(w.until([&] { return outcome.has_value(); }));
        return *outcome;
    }
};

TEST_F(CoordinatorHolds, ABridgeThatIsLostEndsItForAll) {
    w.ready();
    ask();
    ASSERT_TRUE(*held) << held->error().text();
    w.bridge("h2").die();
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    EXPECT_EQ(w.count("h1 abort_line"), 1);
    EXPECT_TRUE(w.master("g1").releases.back().aborted);
    EXPECT_EQ(let_go().error().kind, ErrorKind::not_found);
}

TEST_F(CoordinatorHolds, OneThatCannotBeHadIsPutOff) {
    w.ready();
    w.slurm->jobs[kJob].slurmd_timeout_s = 300;
    ask(151);
    ASSERT_FALSE(*held);
    EXPECT_EQ(held->error().kind, ErrorKind::refused);
    EXPECT_NE(held->error().why.find("150 s at most"), std::string::npos) << held->error().why;
    w.master("g3").silent = false;
    ask(150);
    ASSERT_FALSE(*held);
    EXPECT_NE(held->error().why.find("no answer from node g3"), std::string::npos);
    expect_released(true);
}

TEST_F(CoordinatorHolds, NoLineIsTakenMeanwhile) {
    w.ready();
    ask();
    ASSERT_TRUE(*held);
    EXPECT_NE(w.line().error().why.find("held"), std::string::npos);
    EXPECT_FALSE(w.rehearsal());
    ASSERT_TRUE(let_go());
    expect_next_is_good();
}

TEST_F(CoordinatorHolds, AJobThatIsCancelledIsLetGo) {
    w.ready();
    ask();
    ASSERT_TRUE(*held);
    w.slurm->jobs[kJob].running = false;
    w.slurm->jobs[kJob].state = "CANCELLED";
    EXPECT_TRUE(w.until([&] { return !w.coordinator->lines().of(kJob); }));
    expect_released(true);
    for (const char* h : {"h1", "h2", "h3"}) {
        EXPECT_EQ(w.count(std::string(h) + " abort_line"), 1) << "its guests run";
    }
}

TEST_F(CoordinatorHolds, OneThatIsOnItsWayIsCalledOff) {
    w.ready();
    w.coordinator->holds().hold({kJob, 0, false}, {{}, [this](auto r) { held = std::move(r); }});
    EXPECT_NE(let_go().error().why.find("it is to go on"), std::string::npos);
    ASSERT_TRUE(held.has_value());
    EXPECT_FALSE(*held);
    expect_next_is_good();
}

TEST_F(CoordinatorHolds, GuestsStandStillUntilTheyAreLetGo) {
    w.ready();
    ask();
    ASSERT_TRUE(*held) << held->error().text();
    EXPECT_EQ((*held)->report.phase, Phase::hold);
    EXPECT_EQ((*held)->report.guests.size(), 3U);
    for (const char* h : {"h1", "h2", "h3"}) {
        EXPECT_EQ(w.count(std::string(h) + " freeze_line"), 1);
        EXPECT_EQ(w.count(std::string(h) + " capture_line"), 0);
        EXPECT_EQ(w.count(std::string(h) + " resume_line"), 0);
    }
    auto report = let_go();
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->phase, Phase::done);
    expect_released(false);
    EXPECT_TRUE(w.directory.empty()) << "nothing is kept";
}

TEST_F(CoordinatorHolds, ItEndsAtItsLimit) {
    w.ready();
    ask(1);
    ASSERT_TRUE(*held);
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    expect_released(false);
}

TEST_F(CoordinatorHolds, OneThatKeepsALineCommitsItWhileTheJobStandsStill) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held) << held->error().text();
    EXPECT_EQ((*held)->report.phase, Phase::hold);
    EXPECT_EQ((*held)->report.line, 1U);
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_EQ(w.count("h1 capture_line"), 1);
    EXPECT_EQ(w.count("h1 resume_line"), 0);
    auto listed = w.ask(0, "list", {{"job", kJob}});
    ASSERT_TRUE(listed);
    EXPECT_NE(json::serialize(*listed).find("\"done\""), std::string::npos);
    auto report = let_go();
    ASSERT_TRUE(report) << report.error().text();
    expect_released(false);
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    expect_next_is_good();
}

TEST_F(CoordinatorHolds, AnImageThatFailsLetsAllGoAndLeavesNothing) {
    w.ready();
    w.bridge("h2").no_image.insert("g2");
    ask(0, true);
    ASSERT_FALSE(*held);
    EXPECT_NE(held->error().why.find("no space left"), std::string::npos) << held->error().why;
    EXPECT_EQ(w.count("h1 abort_line"), 1);
    expect_released(true);
    EXPECT_TRUE(w.directory.empty());
    w.bridge("h2").no_image.clear();
    expect_next_is_good();
}

TEST_F(CoordinatorHolds, AManifestThatCannotBeWrittenLetsAllGo) {
    w.ready();
    for (const char* h : {"h1", "h2", "h3", "h4"}) {
        w.bridge(h).refuse[CommitLine::kType] = fail("committing", h, "no space left");
    }
    ask(0, true);
    ASSERT_FALSE(*held);
    EXPECT_NE(held->error().why.find("no space left"), std::string::npos) << held->error().why;
    EXPECT_GE(w.count("h1 abort_line"), 1);
    expect_released(true);
    EXPECT_TRUE(w.directory.empty());
}

TEST_F(CoordinatorHolds, AHostThatGoesAfterTheCommitLeavesItsLine) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held) << held->error().text();
    w.bridge("h2").die();
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    EXPECT_EQ(w.count("h1 resume_line"), 0) << "what is left does not go on without the rest";
    EXPECT_EQ(w.count("h1 abort_line"), 0);
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_EQ(let_go().error().kind, ErrorKind::refused) << "its guest is gone";
    w.bridge("h2").connect();
    w.bridge("h2").tell_inventory();
    w.settle();
    auto restored = w.restore();
    ASSERT_TRUE(restored) << restored.error().text();
    EXPECT_EQ(restored->line, 1U);
}

// Its bridge was only away for a moment, and has let its own guest go.
TEST_F(CoordinatorHolds, WhatStandsStillAfterAHostHasGoneIsLetGoByWord) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held);
    w.bridge("h2").channel->close(fail("", "", "cut"));
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    EXPECT_EQ(w.count("h1 abort_line") + w.count("h1 resume_line"), 0);
    w.bridge("h2").connect();
    w.settle(50);
    ASSERT_TRUE(let_go());
    EXPECT_EQ(w.count("h1 abort_line"), 1);
    EXPECT_EQ(w.count("h3 abort_line"), 1);
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_FALSE(let_go()) << "it is not held any more";
}

TEST_F(CoordinatorHolds, OneThatIsLetGoWhileItsLineIsCommittedEndsAtOnce) {
    w.ready();
    w.bridge("h2").images_late = true;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->holds().hold({kJob, 0, true}, {{}, [this](auto r) { held = std::move(r); }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit;
    }));
    auto report = let_go();
    EXPECT_FALSE(report) << "before the manifest it is called off";
    EXPECT_TRUE(w.directory.empty());
    expect_released(true);
}

// It may have been written, and only the answer be lost.
TEST_F(CoordinatorHolds, AManifestThatMayStandIsErasedThoughEveryBridgeHoldsGuests) {
    w.ready();
    w.bridge("h4").die();
    w.settle();
    for (const char* h : {"h1", "h2", "h3"}) {
        w.bridge(h).refuse[CommitLine::kType] = fail("committing", h, "no answer");
    }
    w.directory[{kJob, 1}] = {};
    ask(0, true);
    ASSERT_FALSE(*held);
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    EXPECT_TRUE(w.directory.empty());
    expect_released(true);
}

TEST_F(CoordinatorHolds, AnImageThatTakesLongerThanTheHoldMayLastLetsAllGo) {
    w.stop();
    w.config.deadlines.commit_ms = 5000;
    w.start();
    w.ready();
    w.bridge("h2").images_late = true;
    ask(1, true);
    ASSERT_FALSE(*held);
    EXPECT_NE(held->error().why.find("the 1 s that the hold may last"), std::string::npos)
        << held->error().why;
    EXPECT_EQ(w.count("h1 abort_line"), 1);
    EXPECT_TRUE(w.directory.empty());
    expect_released(true);
}

TEST_F(CoordinatorHolds, AGuestThatDiesWhileTheRestBecomesDurableLeavesTheLine) {
    w.ready();
    w.bridge("h3").images_late = true;
    w.coordinator->holds().hold({kJob, 0, true}, {{}, [this](auto r) { held = std::move(r); }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit && run->report().guests[1].durable;
    }));
    w.bridge("h2").channel->send(GuestDied{"g2", "QEMU ended with signal 9"});
    w.settle();
    w.bridge("h3").durable(1);
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_EQ(w.count("h1 resume_line") + w.count("h1 abort_line"), 0);
    auto listed = w.ask(0, "list", {{"job", kJob}});
    ASSERT_TRUE(listed);
    EXPECT_NE(json::serialize(*listed).find("guest g2 died"), std::string::npos);
}

TEST_F(CoordinatorHolds, ARestoreThatIsRefusedLeavesTheJobHeld) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held);
    w.slurm->jobs[kJob].sharing = "job 12 shares node g2";
    EXPECT_FALSE(w.restore());
    EXPECT_EQ(w.count("h1 resume_line") + w.count("h1 abort_line"), 0);
    ASSERT_TRUE(let_go());
    expect_released(false);
}

TEST_F(CoordinatorHolds, ARestoreLetsNoGuestRunBeforeItIsDestroyed) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held);
    auto restored = w.restore();
    ASSERT_TRUE(restored) << restored.error().text();
    EXPECT_EQ(restored->line, 1U);
    EXPECT_EQ(w.count("h1 resume_line") + w.count("h1 abort_line"), 0);
    expect_next_is_good();
}

TEST_F(CoordinatorHolds, ARestoreThatIsAskedForWhileTheLineIsCommittedGoesBackToIt) {
    w.ready();
    w.bridge("h2").images_late = true;
    w.coordinator->holds().hold({kJob, 0, true}, {{}, [this](auto r) { held = std::move(r); }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit;
    }));
    std::optional<Result<RestoreReport>> outcome;
    w.coordinator->restores().request(kJob, {}, {{}, [&](auto r) { outcome = std::move(r); }});
    w.settle();
    w.bridge("h2").durable(1);
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome) << outcome->error().text();
    EXPECT_EQ((*outcome)->line, 1U);
}

TEST_F(CoordinatorHolds, ACoordinatorThatIsRestartedMeanwhileRestoresFromItsLine) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held);
    w.stop();
    w.start();
    for (auto& [name, b] : w.bridges) b->connect();
    w.settle();
    w.job_here();
    expect_released(true);
    auto restored = w.restore();
    ASSERT_TRUE(restored) << restored.error().text();
    EXPECT_EQ(restored->line, 1U);
}

TEST_F(CoordinatorHolds, ItsLineIsNotDeletedMeanwhile) {
    w.ready();
    ask(0, true);
    ASSERT_TRUE(*held);
    const json::object line = {{"id", {{"job", kJob}, {"line", 1}}}};
    auto deleted = w.ask(0, "delete", line);
    ASSERT_FALSE(deleted);
    EXPECT_EQ(deleted.error().kind, ErrorKind::refused);
    ASSERT_TRUE(let_go());
    EXPECT_TRUE(w.ask(0, "delete", line));
}

TEST_F(CoordinatorHolds, ItsLineIsListedWithItsTimes) {
    w.ready();
    w.bridge("h2").images_late = true;
    w.coordinator->holds().hold({kJob, 60, true}, {{}, [this](auto r) { held = std::move(r); }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit;
    }));
    w.settle(100);
    w.bridge("h2").durable(1);
    ASSERT_TRUE(w.until([&] { return held.has_value(); }));
    ASSERT_TRUE(*held);
    EXPECT_GE((*held)->report.commit_ms, 100);
    ASSERT_TRUE(let_go());
    auto listed = w.ask(0, "list", {{"job", kJob}});
    ASSERT_TRUE(listed);
    const auto reports = *from_json<LineReports>(*listed, "lines");
    ASSERT_EQ(reports.lines.size(), 1U);
    EXPECT_EQ(reports.lines[0].phase, Phase::done);
    EXPECT_GE(reports.lines[0].commit_ms, 100);
    EXPECT_GE(reports.lines[0].pause_ms, reports.lines[0].commit_ms);
}

TEST_F(CoordinatorHolds, OneWhoseLineCannotBeKeptIsListedAsAborted) {
    w.ready();
    w.bridge("h2").no_image.insert("g2");
    ask(0, true);
    ASSERT_FALSE(*held);
    auto listed = w.ask(0, "list", {{"job", kJob}});
    ASSERT_TRUE(listed);
    EXPECT_NE(json::serialize(*listed).find("no space left"), std::string::npos);
}

TEST_F(CoordinatorHolds, ItsOwnerAndRootMayOnly) {
    w.ready();
    EXPECT_EQ(w.ask(kUser + 1, "hold", {{"job", kJob}, {"limit_s", 0}, {"checkpoint", false}})
                  .error()
                  .kind,
              ErrorKind::denied);
    ASSERT_TRUE(w.ask(kUser, "hold", {{"job", kJob}, {"limit_s", 0}, {"checkpoint", false}}));
    EXPECT_EQ(w.ask(kUser + 1, "let_go", {{"job", kJob}}).error().kind, ErrorKind::denied);
    ASSERT_TRUE(w.ask(0, "let_go", {{"job", kJob}}));
    expect_released(false);
}

TEST_F(CoordinatorLines, NoGuestIsCapturedBeforeAllAreStopped) {
    w.ready();
    w.bridge("h3").late.insert(FreezeLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h3 freeze_line") == 1; }));
    w.settle(100);
    EXPECT_EQ(w.count("h1 frozen"), 1);
    EXPECT_EQ(w.count("h1 capture_line"), 0);
    EXPECT_EQ(w.count("h1 resume_line"), 0);
    w.bridge("h3").let();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome);
    for (const char* h : {"h1", "h2", "h3"}) {
        EXPECT_GT(w.place_of(std::string(h) + " capture_line"), w.place_of("h3 frozen"));
    }
}

TEST_F(CoordinatorLines, MemoryOfGuestsThatAreCapturedLiveIsOutBeforeTheDrain) {
    w.ready();
    w.bridge("h2").captures_live = true;
    w.bridge("h2").late.insert(CopyLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 copy_line") == 1; }));
    w.settle(100);
    EXPECT_EQ(w.count("g1 drain"), 0);
    w.bridge("h2").let();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome);
    EXPECT_EQ(w.count("h1 copy_line"), 0) << "its guests are not";
    EXPECT_LT(w.place_of("h2 copy_line"), w.place_of("g1 drain"));
    expect_released(false);
}

TEST_F(CoordinatorLines, ALiveCaptureThatFailsBeforeTheDrainLeavesTheRanksAlone) {
    w.ready();
    for (const char* h : {"h1", "h2", "h3"}) w.bridge(h).captures_live = true;
    w.bridge("h1").refuse[CopyLine::kType] = fail("capturing g1", "h1", "it stopped by itself");
    expect_undone(w.line(), "it stopped by itself", 3);
    EXPECT_EQ(w.count("g1 drain"), 0);
    w.bridge("h1").refuse.clear();
    w.bridge("h1").mute.insert(CopyLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h1 copy_line") == 2; }));
    w.master("g2").die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_FALSE(*outcome);
    EXPECT_NE(outcome->error().text().find("master on g2"), std::string::npos);
    EXPECT_EQ(w.count("g1 drain"), 0);
}

TEST_F(CoordinatorLines, ABridgeThatSaysNoInPrepareLeavesTheRanksAlone) {
    w.ready();
    w.bridge("h1").refuse[PrepareLine::kType] = fail("opening images", "h1", "no space left");
    expect_undone(w.line(), "no space left", 3);
    EXPECT_EQ(w.count("g1 drain"), 0);
    EXPECT_TRUE(w.master("g1").releases.empty());
}

TEST_F(CoordinatorLines, AFreezeThatFailsLetsTheJobGo) {
    w.ready();
    w.bridge("h2").refuse[FreezeLine::kType] = fail("stopping g2", "h2", "QMP is silent");
    expect_undone(w.line(), "QMP is silent", 3);
    expect_released(true);
    w.bridge("h2").refuse.clear();
    expect_next_is_good();
}

TEST_F(CoordinatorLines, AnImageThatFailsAfterTheReleaseAbortsOnlyTheCommit) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").no_image.insert("g2");
    w.bridge("h2").images_late = true;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit;
    }));
    expect_released(false);
    w.bridge("h2").durable(2);
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    expect_undone(*outcome, "image of guest g2: no space left", 3);
    expect_released(false);
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_EQ(w.directory.count({kJob, 2}), 0U);
}

TEST_F(CoordinatorLines, AnImageThatFailsWhileTheJobStandsStillFailsTheLine) {
    w.ready();
    w.bridge("h2").no_image.insert("g2");
    auto line = w.line();
    ASSERT_FALSE(line);
    EXPECT_NE(line.error().why.find("no space left"), std::string::npos);
    EXPECT_TRUE(w.directory.empty());
}

TEST_F(CoordinatorLines, AGuestThatDiesInCaptureAborts) {
    w.ready();
    w.bridge("h2").late.insert(CaptureLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 capture_line") == 1; }));
    w.bridge("h2").channel->send(GuestDied{"g2", "QEMU ended with signal 9"});
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    expect_undone(*outcome, "guest g2 died: QEMU ended with signal 9", 3);
}

TEST_F(CoordinatorLines, ACutOfRanksThatWereLetGoIsNoLine) {
    w.ready();
    w.bridge("h2").late.insert(CaptureLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 capture_line") == 1; }));
    w.master("g3").state.closed = true;  // its failsafe
    w.master("g3").tell();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    expect_undone(*outcome, "the gates on g3 were opened before the cut", 3);
    w.bridge("h2").let();
    w.bridge("h2").late.clear();
    w.settle();
    expect_next_is_good();
}

TEST_F(CoordinatorLines, AHostThatIsLostAfterItsImagesAreDurableDoesNotCostTheLine) {
    w.ready();
    w.bridge("h3").images_late = true;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit && run->report().guests[1].durable;
    }));
    w.bridge("h2").die();
    w.settle();
    w.bridge("h3").durable(1);
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
}

TEST_F(CoordinatorLines, TheManifestIsWrittenByTheNextBridgeIfTheFirstIsLost) {
    w.ready();
    for (const char* h : {"h1", "h2", "h3", "h4"}) w.bridge(h).mute.insert(CommitLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    auto asked = [&]() -> std::string {
        for (const char* h : {"h1", "h2", "h3", "h4"}) {
            if (w.count(std::string(h) + " commit_line") == 1) return h;
        }
        return "";
    };
    ASSERT_TRUE(w.until([&] { return !asked().empty(); }));
    const std::string first = asked();
    for (const char* h : {"h1", "h2", "h3", "h4"}) w.bridge(h).mute.clear();
    w.bridge(first).die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
    EXPECT_EQ(w.directory.size(), 1U);
}

TEST_F(CoordinatorLines, AManifestThatCannotBeWrittenIsErased) {
    w.ready();
    for (const char* h : {"h1", "h2", "h3", "h4"}) {
        w.bridge(h).refuse[CommitLine::kType] = fail("writing the manifest", h, "read-only");
    }
    auto line = w.line();
    expect_undone(line, "read-only", 3);
    int deletes = 0;
    for (const char* h : {"h1", "h2", "h3", "h4"})
        deletes += w.count(std::string(h) + " delete_line");
    EXPECT_EQ(deletes, 1);
    expect_released(false);
}

TEST_F(CoordinatorLines, ALineIsCommitted) {
    w.ready();
    auto line = w.line();
    ASSERT_TRUE(line) << line.error().text();
    EXPECT_EQ(line->line, 1U);
    EXPECT_EQ(line->phase, Phase::done);
    EXPECT_EQ(line->proof.ranks, 6U);
    EXPECT_EQ(line->proof.issued, 300U) << "the sum of three nodes";
    EXPECT_EQ(line->proof.deferred, 3U);
    EXPECT_EQ(line->guests.size(), 3U);
    EXPECT_GT(line->pause_ms, 0);
    EXPECT_GT(line->drain_ms, 0);
    std::vector<Phase> phases;
    for (const PhaseTime& p : line->phases) phases.push_back(p.phase);
    EXPECT_EQ(phases,
              (std::vector<Phase>{Phase::request, Phase::prepare, Phase::drain, Phase::silence,
                                  Phase::capture, Phase::release, Phase::commit}));
    expect_released(false);
    auto manifest = from_json<Manifest>(w.directory.at({kJob, 1}), "manifest");
    ASSERT_TRUE(manifest);
    EXPECT_TRUE(check_manifest(*manifest));
    EXPECT_EQ(manifest->attempt, 1U);
    EXPECT_EQ(manifest->uid, kUser);
    EXPECT_EQ(manifest->guests[0].host, "h1");
    EXPECT_EQ(w.count("h4 prepare_line"), 0);
}

TEST_F(CoordinatorLines, OldLinesAreRetired) {
    w.ready();
    for (int i = 0; i < 4; ++i) ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.until([&] { return w.directory.size() == 2; }));
    EXPECT_EQ(w.directory.count({kJob, 3}), 1U);
    EXPECT_EQ(w.directory.count({kJob, 4}), 1U);
}

TEST_F(CoordinatorLines, RequestsAreJoinedOrWait) {
    w.ready();
    w.bridge("h2").images_late = true;
    int done = 0;
    std::set<std::uint32_t> lines;
    auto ask = [&] {
        w.coordinator->lines().request(kJob, {{}, [&](Result<LineReport> r) {
                                                  ++done;
                                                  if (r) lines.insert(r->line);
                                              }});
    };
    ask();
    ask();  // joins: the cut lies ahead
    ASSERT_TRUE(w.until([&] {
        auto run = w.coordinator->lines().of(kJob);
        return run && run->report().phase == Phase::commit;
    }));
    ask();  // waits for the next
    ask();
    w.bridge("h2").images_late = false;
    w.bridge("h2").durable(1);
    ASSERT_TRUE(w.until([&] { return done == 4; }));
    EXPECT_EQ(lines, (std::set<std::uint32_t>{1, 2}));
    EXPECT_EQ(w.directory.size(), 2U);
}

TEST_F(CoordinatorLines, AJobThatCannotTakeOneIsPutOffWithTheReason) {
    EXPECT_EQ(w.line().error().kind, ErrorKind::not_found);
    w.ready();
    w.master("g2").state.joined = 1;
    w.master("g2").tell();
    w.settle();
    auto line = w.line();
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().kind, ErrorKind::refused);
    EXPECT_EQ(line.error().why, "on g2 1 of 2 ranks have initialised");
    w.master("g2").state.joined = 2;
    w.master("g2").state.leaving = 1;
    w.master("g2").tell();
    w.settle();
    EXPECT_EQ(w.line().error().why, "ranks on g2 are finalising or have ended");
    w.master("g2").state.leaving = 0;
    w.master("g2").tell();
    w.slurm->jobs[kJob].sharing = "job 12 shares node g2 with job 11: ask for --exclusive";
    w.settle();
    EXPECT_EQ(w.line().error().why, "job 12 shares node g2 with job 11: ask for --exclusive");
    w.slurm->jobs[kJob].sharing.clear();
    auto good = w.line();
    ASSERT_TRUE(good);
    EXPECT_EQ(good->line, 1U);  // what is put off takes no number
}

TEST_F(CoordinatorLines, TheTimerTakesLines) {
    for (const char* g : {"g1", "g2", "g3"}) w.master(g).state.every_s = 1;
    w.ready();
    EXPECT_TRUE(w.until([&] { return w.directory.size() == 2; }));
}

TEST_F(CoordinatorLines, AMasterSpeaksForItsOwnNodeOnly) {
    w.ready();
    FakeMaster& liar = *(w.masters["x"] = std::make_unique<FakeMaster>(w, "g2"));
    liar.state = w.master("g2").state;
    liar.origin_host = 3;  // root of g3 calls itself g2
    liar.connect();
    w.settle();
    EXPECT_FALSE(liar.channel->is_open());
    liar.origin_host = 0;
    liar.uid = kUser;
    liar.connect();
    w.settle();
    EXPECT_FALSE(liar.channel->is_open());
    liar.uid = 0;
    liar.state.node = "g1";
    liar.connect();
    w.settle();
    EXPECT_FALSE(liar.channel->is_open());
    FakeMaster stranger(w, "g9");
    stranger.connect();
    w.settle();
    EXPECT_FALSE(stranger.channel->is_open());
    EXPECT_TRUE(w.line());
}

// A guest that stands still for long loses its connection; the line goes on.
TEST_F(CoordinatorLines, AMasterMayBeAwayWhileItsGuestStandsStill) {
    w.ready();
    w.bridge("h2").late.insert(CaptureLine::kType);
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 capture_line") == 1; }));
    w.master("g2").die();
    w.settle();
    w.bridge("h2").let();
    ASSERT_TRUE(w.until([&] { return w.count("h2 resume_line") == 1; }));
    w.settle();
    EXPECT_FALSE(outcome.has_value());
    w.master("g2").connect();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
    expect_released(false);
}

TEST_F(CoordinatorLines, StoppingAbortsTheLine) {
    w.ready();
    w.master("g2").silent = false;
    std::optional<Result<LineReport>> outcome;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("g2 drain") == 1; }));
    bool stopped = false;
    w.coordinator->stop([&] { stopped = true; });
    ASSERT_TRUE(w.until([&] { return stopped; }));
    expect_released(true);
}

// ---- the coordinator's own restart ----

TEST_F(CoordinatorLines, ARestartBetweenLinesGoesOn) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.stop();
    w.start();
    for (auto& [name, b] : w.bridges) b->connect();
    w.settle();
    w.job_here();
    auto line = w.line();
    ASSERT_TRUE(line) << line.error().text();
    EXPECT_EQ(line->line, 2U);
    EXPECT_EQ(w.master("g1").releases.back().attempt, 2U);
}

TEST_F(CoordinatorLines, ARestartInMidLineOpensTheGates) {
    w.ready();
    w.bridge("h2").late.insert(CaptureLine::kType);
    w.coordinator->lines().request(kJob, {{}, [](auto) {}});
    ASSERT_TRUE(w.until([&] { return w.count("h2 capture_line") == 1; }));
    w.stop();
    w.bridge("h2").waiting.clear();
    w.bridge("h2").late.clear();
    w.start();
    for (auto& [name, b] : w.bridges) b->connect();
    w.settle();
    w.job_here();
    expect_released(true);
    EXPECT_GE(w.count("h1 sweep_lines"), 1);
    auto line = w.line();
    ASSERT_TRUE(line) << line.error().text();
    EXPECT_EQ(line->line, 2U);
}

TEST_F(CoordinatorLines, LinesOfTheTimeLineAreKeptAndOfTheOneThatWasLeftRetired) {
    w.ready();
    for (int i = 1; i <= 2; ++i) ASSERT_TRUE(w.line());
    w.config.coordinator.keep_lines = 2;
    ASSERT_TRUE(w.restore(1));
    ASSERT_TRUE(w.line());  // line 3: 1 and 3 are the time-line's
    EXPECT_TRUE(w.until([&] { return w.directory.count({kJob, 2}) == 0; }));
    w.settle();
    EXPECT_EQ(w.directory.count({kJob, 1}), 1U);
    EXPECT_EQ(w.directory.count({kJob, 3}), 1U);
}

// ---- a host without its mount ----

TEST_F(CoordinatorLines, AHostWithoutTheDirectoryTakesNoLineAndSaysWhy) {
    w.ready();
    w.bridge("h2").mount(false);
    w.settle();
    auto r = w.line();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().kind, ErrorKind::refused);
    EXPECT_EQ(r.error().why,
              "h2: /ckpt is not the cluster's checkpoint directory (no marker): mount it");
    EXPECT_EQ(w.count("h1 prepare_line"), 0);
    auto status = w.ask(kUser, "status", {});
    ASSERT_TRUE(status);
    EXPECT_EQ(status->at("hosts").at(1).at("store_fault").as_string(), r.error().why);
    EXPECT_EQ(status->at("hosts").at(0).at("store_fault").as_string(), "");
    EXPECT_TRUE(w.rehearsal());  // of which nothing is kept
    w.bridge("h2").inventory.store = "store-2";
    w.bridge("h2").tell_inventory();
    w.settle();
    EXPECT_NE(w.line().error().why.find("another's marker"), std::string::npos);
    w.bridge("h2").mount(true);
    w.settle();
    auto after = w.line();
    EXPECT_TRUE(after) << after.error().text();
}

TEST_F(CoordinatorLines, AnEmptyMountPointIsNotTakenForNoLines) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.stop();
    w.start();
    w.log.clear();
    for (const char* h : {"h1", "h2", "h3", "h4"}) w.bridge(h).mounted = false;
    for (const char* h : {"h1", "h2", "h3", "h4"}) {
        w.bridge(h).inventory.store.clear();
        w.bridge(h).connect();
    }
    w.settle(100);
    auto list = w.ask(kUser, "list", {});
    ASSERT_TRUE(list);
    EXPECT_EQ(list->at("lines").as_array().size(), 1U);
    EXPECT_EQ(w.count("h1 sweep_lines") + w.count("h1 list_lines"), 0);
    EXPECT_FALSE(w.ask(kUser, "delete", {{"id", {{"job", kJob}, {"line", 1}}}}));
    w.bridge("h3").mount(true);  // on the same connection
    EXPECT_TRUE(w.until([&] { return w.count("h3 sweep_lines") == 1; }));
    EXPECT_EQ(w.count("h1 sweep_lines"), 0);
    list = w.ask(kUser, "list", {});
    EXPECT_EQ(list->at("lines").as_array().size(), 1U);
}

// The spare has no guest of the line, and what is worse: nothing mounted.
TEST_F(CoordinatorLines, ALineIsCommittedAndRetiredByHostsThatSeeIt) {
    w.config.coordinator.keep_lines = 1;
    w.stop();
    w.start();
    w.ready();
    w.bridge("h4").mount(false);
    w.settle();
    for (int i = 1; i <= 3; ++i) {
        auto line = w.line();
        ASSERT_TRUE(line) << line.error().text();
    }
    EXPECT_TRUE(w.until([&] { return w.directory.size() == 1; }));
    EXPECT_EQ(w.count("h4 commit_line"), 0);
    EXPECT_TRUE(w.bridge("h4").under_mount.empty());
}

TEST_F(CoordinatorLines, ALineIsCommittedByAHostOfIt) {
    w.ready();
    ASSERT_TRUE(w.line());
    EXPECT_EQ(w.count("h4 commit_line"), 0);
}

TEST_F(CoordinatorLines, ALostCatalogIsFilledFromTheManifests) {
    w.ready();
    ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.line());
    w.stop();
    std::filesystem::remove(w.config.coordinator.catalog);
    w.start();
    for (auto& [name, b] : w.bridges) b->connect();
    w.settle();
    w.job_here();
    auto line = w.line();
    ASSERT_TRUE(line) << line.error().text();
    EXPECT_EQ(line->line, 3U);
}

}  // namespace
}  // namespace grl::coordinator
