// Restores, and what grlctl and the plugin may ask. What fails is first.
#include <gtest/gtest.h>

#include "coordinator/engine/program.h"
#include "grl/messages/check.h"
#include "grl/messages/guests.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"
#include "tests/unit/coordinator/world.h"

namespace grl::coordinator {
namespace {

struct CoordinatorRestore : testing::Test {
    World w;

    void with_fence(const std::string& script) {
        const std::string path = w.dir + "/fence";
        std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
        w.config.coordinator.fence_program = path;
        w.stop();
        w.start();
    }
    void lose(const std::string& host) {
        w.bridge(host).die();
        ASSERT_TRUE(w.until([&] { return w.coordinator->hosts().find(host)->lost; }));
    }
    void expect_generation(std::uint32_t generation) {
        for (const char* g : {"g1", "g2", "g3"}) {
            EXPECT_EQ(w.master(g).state.generation, generation) << g;
            EXPECT_TRUE(w.master(g).state.closed) << g;
        }
    }
    bool runs(const std::string& guest, const std::string& host) {
        return w.bridge(host).has(guest, GuestState::running);
    }
};

TEST_F(CoordinatorRestore, ALostHostWithoutAFenceProgramIsRefused) {
    w.ready();
    ASSERT_TRUE(w.line());
    lose("h2");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().kind, ErrorKind::refused);
    EXPECT_NE(r.error().why.find("set coordinator.fence_program"), std::string::npos);
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRestore, AFenceThatFailsIsRefusedWithItsReason) {
    with_fence("exit 3");
    w.ready();
    ASSERT_TRUE(w.line());
    lose("h2");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("it ended with exit 3"), std::string::npos) << r.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRestore, WithoutRoomNothingIsTurnedOffOrDestroyed) {
    with_fence("touch $0.ran");
    w.ready();
    ASSERT_TRUE(w.line());
    for (const char* h : {"h1", "h3", "h4"}) {
        w.bridge(h).inventory.memory_free_mib = 100;
        w.bridge(h).tell_inventory();
    }
    lose("h2");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("no host can take guest g2"), std::string::npos) << r.error().why;
    EXPECT_FALSE(std::filesystem::exists(w.dir + "/fence.ran"));
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRestore, AJobThatHasEndedIsNotRestored) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.slurm->jobs[kJob].running = false;
    w.slurm->jobs[kJob].state = "COMPLETED";
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("COMPLETED"), std::string::npos);
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRestore, AnImageThatDoesNotLoadLeavesNoHalves) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").refuse[RestoreGuests::kType] = fail("restoring g2", "h2", "its digest differs");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("its digest differs"), std::string::npos);
    EXPECT_EQ(w.count("h1 destroy_guests"), 2);  // before, and of the half that stood
    EXPECT_EQ(w.count("h1 resume_guests"), 0);
    EXPECT_TRUE(w.bridge("h1").has("g1", GuestState::absent));
    w.bridge("h2").refuse.clear();
    auto again = w.restore();
    ASSERT_TRUE(again) << again.error().text();
    expect_generation(2);  // the first had begun to be
}

// ---- what cannot be restored costs nothing ----

TEST_F(CoordinatorRestore, ADamagedLineIsPassedOverForTheOneBeforeIt) {
    w.ready();
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(w.line());
    w.bridge("h2").damaged = {3};
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->line, 2U);
    ASSERT_EQ(r->notes.size(), 1U);
    EXPECT_EQ(r->notes[0], "line 3 was passed over: g2: its bytes have changed");
    EXPECT_LT(w.place_of("h2 check_restore"), w.place_of("h1 destroy_guests"));
    EXPECT_EQ(w.count("h2 check_restore"), 2);
    EXPECT_EQ(w.count("h1 destroy_guests"), 1);
    EXPECT_EQ(w.master("g1").releases.back().line, 2U);
    expect_generation(1);
}

TEST_F(CoordinatorRestore, WhereEveryLineIsDamagedTheJobRunsOn) {
    w.ready();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(w.line());
    w.bridge("h2").damaged = {1, 2};
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().kind, ErrorKind::refused);
    EXPECT_NE(r.error().why.find("no line of the job can be restored"), std::string::npos);
    EXPECT_NE(r.error().why.find("line 2 was passed over: g2: its"), std::string::npos);
    EXPECT_NE(r.error().why.find("line 1 was passed over: g2: its"), std::string::npos);
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    EXPECT_TRUE(runs("g1", "h1"));
    auto next = w.line();
    ASSERT_TRUE(next) << next.error().text();
    EXPECT_EQ(next->generation, 0U);
}

TEST_F(CoordinatorRestore, ADamagedLineThatWasAskedForIsRefusedWithItsReason) {
    w.ready();
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(w.line());
    w.bridge("h2").damaged = {2};
    auto r = w.restore(2);
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("line 2 cannot be restored: g2: its bytes have changed"),
              std::string::npos)
        << r.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    EXPECT_TRUE(w.line());
}

TEST_F(CoordinatorRestore, AHostThatCannotVerifyOrIsLostThenHarmsNothing) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").refuse[CheckRestore::kType] = fail("restoring", "h2", "no room");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("verify: host h2: restoring (h2): no room"), std::string::npos)
        << r.error().why;
    w.bridge("h2").refuse.clear();
    w.bridge("h2").mute.insert(CheckRestore::kType);
    EXPECT_FALSE(w.restore());
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    EXPECT_TRUE(runs("g2", "h2"));
    w.bridge("h2").mute.clear();
    ASSERT_TRUE(w.line());
}

TEST_F(CoordinatorRestore, ALostHostIsNotTurnedOffForALineThatIsDamaged) {
    with_fence("touch $0.ran");
    w.ready();
    ASSERT_TRUE(w.line());
    lose("h2");
    w.bridge("h4").damaged = {1};
    EXPECT_FALSE(w.restore());
    EXPECT_FALSE(std::filesystem::exists(w.dir + "/fence.ran"));
}

// ---- one account of room ----

struct CoordinatorRoom : CoordinatorRestore {
    // A guest of no job on h1, and h2 lost; only h4 has room, for one.
    void ready() {
        with_fence("exit 0");
        for (const char* h : {"h1", "h2", "h3", "h4"}) {
            w.bridge(h).add("g9", h[1] == '1' ? GuestState::running : GuestState::absent);
        }
        w.ready();
        ASSERT_TRUE(w.line());
        for (const char* h : {"h1", "h3"}) {
            w.bridge(h).inventory.memory_free_mib = 0;
            w.bridge(h).tell_inventory();
        }
        w.bridge("h4").inventory.memory_free_mib = 300;
        w.bridge("h4").tell_inventory();
        lose("h2");
    }
};

TEST_F(CoordinatorRoom, AClosedHostGetsNoGuestOfARestore) {
    ready();
    ASSERT_TRUE(w.ask(0, "evacuate", {{"host", "h4"}}));
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("h4 is closed for service"), std::string::npos) << r.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    ASSERT_TRUE(w.ask(0, "reopen", {{"host", "h4"}}));
    r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_TRUE(runs("g2", "h4"));
}

TEST_F(CoordinatorRoom, ARestoreSeesWhatAMoveHasTaken) {
    ready();
    w.bridge("h4").mute.insert(ReceiveGuest::kType);
    w.coordinator->moves().move("g9", "h4", "test", {{}, [](auto) {}});
    ASSERT_TRUE(w.until([&] { return w.count("h4 receive_guest") == 1; }));
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("h4 has 44 MiB free"), std::string::npos) << r.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRoom, AMoveSeesWhatARestoreHasTaken) {
    ready();
    w.bridge("h4").late.insert(CheckRestore::kType);
    std::optional<Result<RestoreReport>> outcome;
    w.coordinator->restores().request(kJob, {}, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h4 check_restore") == 1; }));
    auto moved = w.move("g9", "h4");
    ASSERT_FALSE(moved);
    EXPECT_NE(moved.error().why.find("h4 has 44 MiB free"), std::string::npos)
        << moved.error().why;
    w.bridge("h4").let();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
    EXPECT_TRUE(runs("g2", "h4"));
}

TEST_F(CoordinatorRestore, MemoryIsNotLaidOverAnotherDisk) {
    auto disk = [&](const std::string& host, const std::string& id) {
        for (GuestInfo& g : w.bridge(host).inventory.guests) g.contents = {{{"disk", id}}};
        w.bridge(host).tell_inventory();
        w.settle();
    };
    w.ready();
    for (const char* h : {"h1", "h2", "h3", "h4"}) disk(h, "A");
    ASSERT_TRUE(w.line());
    for (const char* h : {"h1", "h2", "h3", "h4"}) disk(h, "B");
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("the disk of g1 on h1 is another"), std::string::npos)
        << r.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    disk("h1", "A");
    auto moved = w.move("g1", "h4");
    ASSERT_FALSE(moved);
    EXPECT_NE(moved.error().why.find("the disk of g1 on h4 is another"), std::string::npos)
        << moved.error().why;
    for (const char* h : {"h2", "h3", "h4"}) disk(h, "A");
    ASSERT_TRUE(w.restore());
}

// ---- a number is not a job ----

TEST_F(CoordinatorRestore, ALineOfAnotherLifeOfTheNumberIsRefused) {
    const JobLife line{1000, 1010, 0};
    w.slurm->jobs[kJob].life = line;
    w.ready();
    ASSERT_TRUE(w.line());
    const json::object& manifest = w.directory.begin()->second;
    EXPECT_EQ(from_json<Manifest>(manifest, "manifest")->life, line);
    for (const auto& [now, text] : std::vector<std::pair<JobLife, std::string>>{
             {{2000, 2010, 0}, "that was submitted at"},
             {{1000, 1010, 1}, "it had been restarted 0 times, and now 1"},
             {{1000, 1500, 0}, "that was started at"}}) {
        w.slurm->jobs[kJob].life = now;
        for (std::uint32_t uid : {0U, kUser}) {
            auto r = w.ask(uid, "restore", {{"job", kJob}});
            ASSERT_FALSE(r);
            EXPECT_EQ(r.error().kind, ErrorKind::refused);
            EXPECT_NE(r.error().why.find("line 1 is of another life of the job: " + text),
                      std::string::npos)
                << r.error().why;
            EXPECT_NE(r.error().why.find("--into-other-life"), std::string::npos);
        }
    }
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    EXPECT_TRUE(runs("g1", "h1"));
    auto r = w.ask(kUser, "restore", {{"job", kJob}, {"into_other_life", true}});
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(from_json<RestoreReport>(*r, "report")->notes.size(), 1U);
}

TEST_F(CoordinatorRestore, AnotherUsersLineIsForRootAloneAndOnlyIfAskedFor) {
    w.ready();
    ASSERT_TRUE(w.line());
    // The number is 1001's job now, and its step runs.
    w.slurm->jobs[kJob].uid = 1001;
    const json::object plain = {{"job", kJob}};
    const json::object other = {{"job", kJob}, {"into_other_life", true}};
    for (const auto& [uid, body, kind] :
         std::vector<std::tuple<std::uint32_t, json::object, ErrorKind>>{
             {1001, plain, ErrorKind::denied},
             {1001, other, ErrorKind::denied},
             {kUser, plain, ErrorKind::refused},
             {kUser, other, ErrorKind::refused},
             {0, plain, ErrorKind::refused}}) {
        auto r = w.ask(uid, "restore", body);
        ASSERT_FALSE(r) << uid;
        EXPECT_EQ(r.error().kind, kind) << r.error().text();
    }
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

// Who runs a step under that number may not have the memory of who ran one before.
TEST_F(CoordinatorRestore, ARunningStepGivesNobodyALineOfAnother) {
    w.ready();
    ASSERT_TRUE(w.line());
    for (const char* g : {"g1", "g2", "g3"}) w.master(g).die();
    w.coordinator->steps().drop_job(kJob, fail("", "", "over"));
    w.slurm->jobs[kJob].uid = 1001;
    for (const char* g : {"g1", "g2", "g3"}) w.master(g).state.uid = 1001;
    w.job_here();
    auto r = w.ask(1001, "restore", {{"job", kJob}});
    ASSERT_FALSE(r);
    EXPECT_EQ(r.error().kind, ErrorKind::denied) << r.error().text();
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
}

TEST_F(CoordinatorRestore, AnOldManifestIsTakenForTheSameUsersJobAndThatIsSaid) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.stop();
    w.directory.begin()->second.erase("life");
    std::filesystem::remove(w.config.coordinator.catalog);
    w.start();
    for (const char* h : {"h1", "h2", "h3", "h4"}) w.bridge(h).connect();
    w.settle();
    w.job_here();
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    ASSERT_EQ(r->notes.size(), 1U);
    EXPECT_EQ(r->notes[0], "line 1 does not say which life of the job it is of");
    w.slurm->jobs[kJob].uid = 1001;
    EXPECT_FALSE(w.restore());
}

// ---- and what comes after ----

TEST_F(CoordinatorRestore, AHostThatIsLostWhileItLoadsEndsTheRestore) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").mute.insert(RestoreGuests::kType);
    std::optional<Result<RestoreReport>> outcome;
    w.coordinator->restores().request(kJob, {}, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 restore_guests") == 1; }));
    w.bridge("h2").die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_FALSE(*outcome);
    EXPECT_NE(outcome->error().why.find("h2"), std::string::npos);
    EXPECT_TRUE(w.bridge("h1").has("g1", GuestState::absent));
}

TEST_F(CoordinatorRestore, AMasterThatDoesNotComeBackIsSaid) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.master("g3").origin_host = 77;
    auto r = w.restore();
    ASSERT_FALSE(r);
    EXPECT_NE(r.error().why.find("rejoin"), std::string::npos) << r.error().why;
    EXPECT_TRUE(runs("g1", "h1"));  // the job may be running: it is left alone
}

TEST_F(CoordinatorRestore, WithoutALineThereIsNothingToGoBackTo) {
    w.ready();
    EXPECT_EQ(w.restore().error().kind, ErrorKind::not_found);
    EXPECT_EQ(w.restore(7).error().kind, ErrorKind::not_found);
}

TEST_F(CoordinatorRestore, APlainRollback) {
    w.ready();
    ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.line());
    auto r = w.restore(2);
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->line, 2U);
    EXPECT_EQ(r->generation, 1U);
    EXPECT_EQ(r->stages, (std::vector<std::string>{"wait", "check", "look", "place", "verify",
                                                   "fence", "raise", "destroy", "restore",
                                                   "resume", "rejoin"}));
    expect_generation(1);
    for (int i = 1; i <= 3; ++i) {
        EXPECT_TRUE(runs("g" + std::to_string(i), "h" + std::to_string(i)));
    }
    EXPECT_EQ(w.master("g1").releases.back().line, 2U);
    EXPECT_FALSE(w.master("g1").releases.back().aborted);
    auto next = w.line();
    ASSERT_TRUE(next) << next.error().text();
    EXPECT_EQ(next->line, 4U);  // numbers are not used again
    EXPECT_EQ(next->generation, 1U);
    EXPECT_EQ(w.master("g1").releases.back().attempt, 3U);  // attempts go back with the guests
}

TEST_F(CoordinatorRestore, TheNextOneGoesNotToTheTimeLineThatWasLeft) {
    w.config.coordinator.keep_lines = 9;
    w.stop();
    w.start();
    w.ready();
    for (int i = 1; i <= 3; ++i) ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.restore(1));
    auto again = w.restore();
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->line, 1U);
    ASSERT_TRUE(w.line());
    again = w.restore();
    ASSERT_TRUE(again) << again.error().text();
    EXPECT_EQ(again->line, 4U);
    again = w.restore(3);  // by its number it still can be had
    ASSERT_TRUE(again) << again.error().text();
    again = w.restore();
    EXPECT_EQ(again->line, 3U);
}

TEST_F(CoordinatorRestore, AHostThatWasNotHeardYetIsGivenMoreTimeThanOneThatWentAway) {
    w.config.deadlines.bridge_lost_ms = 1000;
    w.stop();
    w.start();
    w.bridge("h1").connect();
    w.settle();
    lose("h1");
    EXPECT_EQ(w.coordinator->hosts().condition("h1"), HostCondition::lost);
    EXPECT_EQ(w.coordinator->hosts().condition("h2"), HostCondition::away);
}

TEST_F(CoordinatorRestore, TheSpareTakesTheGuestOfADeadHost) {
    with_fence("echo $1 >> $0.ran");
    w.ready();
    ASSERT_TRUE(w.line());
    lose("h2");
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    expect_generation(1);
    EXPECT_TRUE(runs("g1", "h1"));
    EXPECT_TRUE(runs("g2", "h4"));
    EXPECT_TRUE(runs("g3", "h3"));
    std::string fenced;
    std::getline(std::ifstream(w.dir + "/fence.ran") >> std::ws, fenced);
    EXPECT_EQ(fenced, "h2");
    EXPECT_TRUE(w.line());
}

TEST_F(CoordinatorRestore, SeveralHostsMayDie) {
    with_fence("exit 0");
    w.ready();
    ASSERT_TRUE(w.line());
    lose("h2");
    lose("h3");
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_TRUE(runs("g2", "h4"));
    EXPECT_TRUE(runs("g3", "h1") || runs("g3", "h4"));
}

TEST_F(CoordinatorRestore, ARestartedCoordinatorStillFencesTheHost) {
    with_fence("echo $1 >> $0.ran");
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").die();
    w.stop();
    w.start();
    for (const char* h : {"h1", "h3", "h4"}) w.bridge(h).connect();
    w.settle();
    auto r = w.restore();  // waits until h2 has been away for long enough
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_TRUE(runs("g2", "h4"));
    EXPECT_TRUE(std::filesystem::exists(w.dir + "/fence.ran"));
}

TEST_F(CoordinatorRestore, AHostThatDiedWithoutAWordIsFencedBeforeAnythingIsDestroyed) {
    with_fence("echo $1 >> $0.ran");
    w.ready();
    ASSERT_TRUE(w.line());
    for (const char* type : {Heartbeat::kType, DestroyGuests::kType}) {
        w.bridge("h2").mute.insert(type);
    }
    w.master("g2").die();
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_TRUE(runs("g2", "h4"));
    EXPECT_EQ(w.count("h2 destroy_guests"), 0);
    EXPECT_TRUE(std::filesystem::exists(w.dir + "/fence.ran"));
}

TEST_F(CoordinatorRestore, GenerationsCount) {
    w.ready();
    ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.restore());
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    EXPECT_EQ(r->generation, 2U);
    expect_generation(2);
}

TEST_F(CoordinatorRestore, ALineOnItsWayIsNotInTheWay) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.master("g2").silent = false;
    std::optional<Result<LineReport>> line;
    w.coordinator->lines().request(kJob, {{}, [&](auto r) { line = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("g2 drain") == 2; }));
    w.master("g2").silent = true;
    auto r = w.restore();
    ASSERT_TRUE(r) << r.error().text();
    ASSERT_TRUE(line.has_value());
    EXPECT_NE(line->error().why.find("restore"), std::string::npos);
}

TEST_F(CoordinatorRestore, LinesWaitForTheRestore) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").late.insert(RestoreGuests::kType);
    std::optional<Result<RestoreReport>> outcome;
    w.coordinator->restores().request(kJob, {}, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 restore_guests") == 1; }));
    EXPECT_FALSE(w.line());
    EXPECT_EQ(w.restore().error().kind, ErrorKind::refused);
    w.bridge("h2").let();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(*outcome);
}

TEST_F(CoordinatorRestore, ASilentBridgeIsFoundOut) {
    w.ready();
    w.bridge("h2").mute.insert(Heartbeat::kType);
    EXPECT_TRUE(w.until([&] { return w.coordinator->hosts().find("h2")->lost; }));
    EXPECT_FALSE(w.coordinator->hosts().find("h1")->lost);
}

// ---- who may ask what ----

TEST_F(CoordinatorRestore, StrangersMayLookOnly) {
    w.ready();
    ASSERT_TRUE(w.line());
    const json::object job = {{"job", kJob}};
    const json::object line = {{"job", kJob}, {"rehearsal", false}};
    const json::object id = {{"id", {{"job", kJob}, {"line", 1}}}};
    for (const auto& [type, body] :
         std::map<std::string, json::object>{{"checkpoint", line},
                                             {"restore", job},
                                             {"verify", id},
                                             {"delete", id},
                                             {"start", {{"guest", "g1"}, {"host", "h1"}}},
                                             {"stop", {{"guest", "g1"}, {"host", ""}}}}) {
        auto answer = w.ask(1001, type, body);
        ASSERT_FALSE(answer) << type;
        EXPECT_EQ(answer.error().kind, ErrorKind::denied) << type;
    }
    EXPECT_TRUE(w.ask(1001, "status", {}));
    EXPECT_TRUE(w.ask(1001, "list", {}));
    EXPECT_TRUE(w.ask(1001, "show", id));
}

TEST_F(CoordinatorRestore, OwnersMayAskForTheirJobs) {
    w.ready();
    auto line = w.ask(kUser, "checkpoint", {{"job", kJob}, {"rehearsal", false}});
    ASSERT_TRUE(line) << line.error().text();
    EXPECT_EQ(line->at("phase").as_string(), "done");
    auto verified = w.ask(kUser, "verify", {{"id", {{"job", kJob}, {"line", 1}}}});
    ASSERT_TRUE(verified);
    EXPECT_EQ(verified->at("guests").as_array().size(), 2U);
    EXPECT_EQ(w.ask(kUser, "stop", {{"guest", "g1"}, {"host", ""}}).error().kind,
              ErrorKind::denied);
    auto restored = w.ask(kUser, "restore", {{"job", kJob}});
    ASSERT_TRUE(restored) << restored.error().text();
    ASSERT_TRUE(w.ask(kUser, "delete", {{"id", {{"job", kJob}, {"line", 1}}}}));
    EXPECT_TRUE(w.directory.empty());
    EXPECT_EQ(w.ask(kUser, "show", {{"id", {{"job", kJob}, {"line", 1}}}}).error().kind,
              ErrorKind::not_found);
}

TEST_F(CoordinatorRestore, RootStartsAndStopsGuests) {
    w.ready();
    EXPECT_EQ(w.ask(0, "start", {{"guest", "g1"}, {"host", "h4"}}).error().kind,
              ErrorKind::refused);
    ASSERT_TRUE(w.ask(0, "stop", {{"guest", "g1"}, {"host", ""}}));
    w.settle();
    EXPECT_EQ(w.ask(0, "start", {{"guest", "g1"}, {"host", "h9"}}).error().kind,
              ErrorKind::not_found);
    ASSERT_TRUE(w.ask(0, "start", {{"guest", "g1"}, {"host", "h4"}}));
    EXPECT_TRUE(runs("g1", "h4"));
}

// ---- no second copy of a guest ----

TEST_F(CoordinatorRestore, AGuestOfAHostThatIsAwayOrLostIsNotStartedElsewhere) {
    w.ready();
    w.bridge("h2").channel->close(fail("", "", "cut"));
    w.settle();
    const json::object start = {{"guest", "g2"}, {"host", "h4"}};
    auto answer = w.ask(0, "start", start);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().why.find("host h2 is away"), std::string::npos) << answer.error().why;
    ASSERT_TRUE(w.until([&] { return w.coordinator->hosts().find("h2")->lost; }));
    answer = w.ask(0, "start", start);
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().why.find("grlctl fence h2"), std::string::npos) << answer.error().why;
    EXPECT_EQ(w.count("h4 start_guest"), 0);
}

TEST_F(CoordinatorRestore, AHostTheCoordinatorHasNotHeardMayRunWhatTheCatalogSays) {
    w.ready();
    w.bridge("h2").die();
    w.stop();
    w.start();
    for (const char* h : {"h1", "h3", "h4"}) w.bridge(h).connect();
    w.settle();
    auto answer = w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().why.find("host h2 is"), std::string::npos) << answer.error().why;
    EXPECT_EQ(w.count("h4 start_guest"), 0);
}

TEST_F(CoordinatorRestore, AHostThatIsOffIsNoObstacleAlsoToTheNextCoordinator) {
    with_fence("echo $1 >> $0.ran");
    w.ready();
    w.bridge("h2").channel->close(fail("", "", "cut"));
    w.settle();
    EXPECT_EQ(w.ask(0, "fence", {{"host", "h2"}, {"off", false}}).error().kind,
              ErrorKind::refused);  // it may come back any moment
    ASSERT_TRUE(w.until([&] { return w.coordinator->hosts().find("h2")->lost; }));
    EXPECT_EQ(w.ask(0, "fence", {{"host", "h9"}, {"off", false}}).error().kind,
              ErrorKind::not_found);
    EXPECT_EQ(w.ask(0, "fence", {{"host", "h1"}, {"off", true}}).error().kind, ErrorKind::refused);
    EXPECT_EQ(w.ask(kUser, "fence", {{"host", "h2"}, {"off", false}}).error().kind,
              ErrorKind::denied);
    EXPECT_FALSE(std::filesystem::exists(w.dir + "/fence.ran"));
    ASSERT_TRUE(w.ask(0, "fence", {{"host", "h2"}, {"off", false}}));
    EXPECT_TRUE(std::filesystem::exists(w.dir + "/fence.ran"));
    w.settle();
    w.stop();
    w.start();
    for (const char* h : {"h1", "h3", "h4"}) w.bridge(h).connect();
    w.settle();
    EXPECT_EQ(w.coordinator->hosts().condition("h2"), HostCondition::fenced);
    auto answer = w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}});
    EXPECT_TRUE(answer) << answer.error().text();
}

TEST_F(CoordinatorRestore, RootsWordFencesWhereThereIsNoProgram) {
    w.ready();
    lose("h2");
    EXPECT_NE(w.ask(0, "fence", {{"host", "h2"}, {"off", false}}).error().why.find("--off"),
              std::string::npos);
    ASSERT_TRUE(w.ask(0, "fence", {{"host", "h2"}, {"off", true}}));
    EXPECT_TRUE(w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}}));
}

TEST_F(CoordinatorRestore, OneGuestIsStartedOnceAtATime) {
    w.ready();
    ASSERT_TRUE(w.line());
    ASSERT_TRUE(w.ask(0, "stop", {{"guest", "g2"}, {"host", ""}}));
    w.settle();
    w.bridge("h2").mute.insert(StartGuest::kType);
    auto [ours, theirs] = w.pair("ctl");
    w.coordinator->accept_cluster(theirs, {"ctl", "root", 0, "", ""});
    ours->start();
    ours->request_raw("start", {{"guest", "g2"}, {"host", "h2"}}, Milliseconds(5000),
                      [](const auto&) {});
    ASSERT_TRUE(w.until([&] { return w.count("h2 start_guest") == 1; }));
    auto second = w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}});
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().why.find("being started on h2"), std::string::npos);
    auto restore = w.restore();
    ASSERT_FALSE(restore);
    EXPECT_NE(restore.error().why.find("being started on h2"), std::string::npos)
        << restore.error().why;
    EXPECT_EQ(w.count("h1 destroy_guests"), 0);
    ours->close(fail("", "", "done"));
}

TEST_F(CoordinatorRestore, AGuestIsNotStartedWhileItsJobIsRestored) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h2").late.insert(RestoreGuests::kType);
    std::optional<Result<RestoreReport>> outcome;
    w.coordinator->restores().request(kJob, {}, {{}, [&](auto r) { outcome = r; }});
    ASSERT_TRUE(w.until([&] { return w.count("h2 restore_guests") == 1; }));
    auto answer = w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}});
    ASSERT_FALSE(answer);
    EXPECT_NE(answer.error().why.find("being restored"), std::string::npos) << answer.error().why;
    w.bridge("h2").let();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
}

// The guest had moved away from the host that its line names, and with the catalog that is lost.
TEST_F(CoordinatorRestore, ALostCatalogDoesNotLoseWhomToFence) {
    for (const bool torn : {false, true}) {
        World w;
        const std::string program = w.dir + "/fence";
        std::ofstream(program) << "#!/bin/sh\necho $1 >> $0.ran\n";
        std::filesystem::permissions(program, std::filesystem::perms::owner_all);
        w.config.coordinator.fence_program = program;
        w.stop();
        w.start();
        w.ready();
        ASSERT_TRUE(w.line());
        ASSERT_TRUE(w.move("g2", "h4"));
        ASSERT_TRUE(w.until([&] { return w.bridge("h2").has("g2", GuestState::absent); }));
        w.settle(100);
        const auto records = w.host_records;
        w.bridge("h4").die();
        w.host_records = records;
        w.stop();
        if (torn) {
            std::ofstream(w.config.coordinator.catalog) << "no database";
        } else {
            std::filesystem::remove(w.config.coordinator.catalog);
        }
        w.start();
        // Nobody has read the directory yet, so nobody knows.
        EXPECT_EQ(w.ask(0, "start", {{"guest", "g2"}, {"host", "h1"}}).error().kind,
                  ErrorKind::not_found);
        w.log.clear();
        for (const char* h : {"h1", "h2", "h3"}) w.bridge(h).connect();
        ASSERT_TRUE(w.until([&] { return w.count("h1 sweep_lines") > 0; }));
        auto answer = w.ask(0, "start", {{"guest", "g2"}, {"host", "h1"}});
        ASSERT_FALSE(answer);
        EXPECT_NE(answer.error().why.find("host h4 is"), std::string::npos) << answer.error().why;
        auto r = w.restore();
        ASSERT_TRUE(r) << r.error().text();
        std::string fenced;
        std::getline(std::ifstream(program + ".ran") >> std::ws, fenced);
        EXPECT_EQ(fenced, "h4");
        EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::running));
    }
}

TEST_F(CoordinatorRestore, AGuestThatItsHostHasSaidIsGoneMayStartElsewhere) {
    w.ready();
    ASSERT_TRUE(w.ask(0, "stop", {{"guest", "g2"}, {"host", ""}}));
    w.settle();
    lose("h2");
    auto answer = w.ask(0, "start", {{"guest", "g2"}, {"host", "h4"}});
    EXPECT_TRUE(answer) << answer.error().text();
}

TEST_F(CoordinatorRestore, UnknownAndMisshapenQuestionsAreAnswered) {
    EXPECT_EQ(w.ask(0, "frobnicate", {}).error().kind, ErrorKind::protocol);
    EXPECT_EQ(w.ask(0, "checkpoint", {{"job", "x"}}).error().kind, ErrorKind::protocol);
}

TEST_F(CoordinatorRestore, TheStatusTellsHostsAndJobs) {
    w.ready();
    ASSERT_TRUE(w.line());
    auto status = from_json<StatusReport>(*w.ask(1001, "status", {}), "status");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->hosts.size(), 4U);
    ASSERT_EQ(status->jobs.size(), 1U);
    EXPECT_EQ(status->jobs[0].state, "ready");
    EXPECT_EQ(status->jobs[0].last_line, 1U);
    lose("h2");
    status = from_json<StatusReport>(*w.ask(1001, "status", {}), "status");
    EXPECT_EQ(status->jobs[0].state, "lost");
    EXPECT_EQ(status->jobs[0].reason, "guest g2 was on h2, which is lost");
}

TEST_F(CoordinatorRestore, StepsAreCheckedBeforeTheyStart) {
    w.ready();
    const json::object step = {
        {"job", kJob}, {"step", 0}, {"nodes", {"g1", "g2", "g3"}}, {"wait_ms", 0}};
    EXPECT_TRUE(w.ask(0, "check_step", step));
    EXPECT_TRUE(w.ask(kUser, "check_step", step));
    EXPECT_EQ(w.ask(1001, "check_step", step).error().kind, ErrorKind::denied);
    const json::object other = {
        {"job", kJob}, {"step", 0}, {"nodes", {"n7"}}, {"wait_ms", 0}};
    EXPECT_EQ(w.ask(0, "check_step", other).error().why, "n7 is no guest of a connected host");
    w.slurm->jobs[kJob].sharing = "job 12 shares node g2 with job 11: ask for --exclusive";
    EXPECT_EQ(w.ask(0, "check_step", step).error().why,
              "job 12 shares node g2 with job 11: ask for --exclusive");
}

json::object check_of(std::uint32_t step, std::uint32_t wait_ms) {
    return {{"job", kJob}, {"step", step}, {"nodes", {"g1"}}, {"wait_ms", wait_ms}};
}

TEST_F(CoordinatorRestore, AStepBesideAProtectedOneIsToldSoBeforeItStarts) {
    w.ready();
    // Its ranks have initialised: there is nothing to wait for.
    auto checked = from_json<StepChecked>(*w.ask(kUser, "check_step", check_of(1, 60'000)), "");
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->beside, "step 12.0 is protected, and a line covers one step");
    EXPECT_TRUE(w.line());
}

TEST_F(CoordinatorRestore, AStepWaitsForTheEndOfTheOneBefore) {
    w.ready();
    for (const char* node : {"g1", "g2", "g3"}) {
        w.master(node).state.leaving = w.master(node).state.local_ranks;
        w.master(node).tell();
    }
    w.settle();
    asio::steady_timer end(w.io, Milliseconds(200));
    end.async_wait([&](const boost::system::error_code&) {
        for (const char* node : {"g1", "g2", "g3"}) w.master(node).die();
    });
    auto checked = from_json<StepChecked>(*w.ask(kUser, "check_step", check_of(1, 4'000)), "");
    ASSERT_TRUE(checked);
    EXPECT_EQ(checked->beside, "");
}

TEST_F(CoordinatorRestore, OfStepsThatBeginTogetherOneIsProtected) {
    w.ready();
    for (const char* node : {"g1", "g2", "g3"}) w.master(node).die();
    w.settle();
    auto first = from_json<StepChecked>(*w.ask(kUser, "check_step", check_of(1, 0)), "");
    auto second = from_json<StepChecked>(*w.ask(kUser, "check_step", check_of(2, 0)), "");
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->beside, "");
    EXPECT_EQ(second->beside, "step 12.1 is protected, and a line covers one step");
}

TEST(Steps, APromiseToAStepThatNeverCameEnds) {
    Steps steps;
    const auto now = Steady::now();
    EXPECT_FALSE(steps.claim(7, 0, now));
    EXPECT_FALSE(steps.claim(7, 0, now));
    EXPECT_EQ(steps.claim(7, 1, now + std::chrono::milliseconds(1'000)), 0U);
    EXPECT_FALSE(steps.claim(8, 1, now + std::chrono::milliseconds(1'000)));
    EXPECT_FALSE(steps.claim(7, 1, now + std::chrono::milliseconds(2'000)));
}

TEST(Sharing, IsSaidWithNodeAndJob) {
    const JobRow job{12, 0, true, true, "RUNNING", {"g1", "g2"}};
    const JobRow other{11, 0, true, false, "RUNNING", {"g2"}};
    const JobRow ended{10, 0, false, false, "COMPLETED", {"g1"}};
    EXPECT_EQ(sharing_of(job, {job, other, ended}),
              "job 12 shares node g2 with job 11: ask for --exclusive");
    EXPECT_EQ(sharing_of(job, {job, ended}), "");
    JobRow open = job;
    open.exclusive = false;
    EXPECT_EQ(sharing_of(open, {open}), "job 12 may have to share its nodes: ask for --exclusive");
}

TEST(Program, SaysHowItEnded) {
    asio::io_context io;
    std::vector<std::string> said;
    auto run = [&](std::vector<std::string> command, int ms) {
        run_program(io, command, std::chrono::milliseconds(ms),
                    [&](Result<void> r) { said.push_back(r ? "good" : r.error().why); });
        io.restart();
        io.run();
    };
    run({"/bin/false"}, 5000);
    run({"/bin/true"}, 5000);
    run({"/bin/sleep", "30"}, 50);
    run({"/no/such/program"}, 5000);
    EXPECT_EQ(said,
              (std::vector<std::string>{"it ended with exit 1", "good", "it did not end in time",
                                        "No such file or directory"}));
}

}  // namespace
}  // namespace grl::coordinator
