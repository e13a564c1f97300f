// Moves of guests through a whole coordinator, with bridges and masters that are made up.
#include <thread>

#include "grl/messages/guests.h"
#include "grl/messages/moves.h"
#include "grl/messages/reports.h"
#include "tests/unit/coordinator/world.h"

namespace grl::coordinator {
namespace {

struct CoordinatorMoves : ::testing::Test {
    World w;

    // How many copies of g2 run: never two, at the end one.
    int running() {
        int n = 0;
        for (const auto& [name, b] : w.bridges) n += b->has("g2", GuestState::running) ? 1 : 0;
        return n;
    }
    void expect_at(const std::string& host) {
        EXPECT_TRUE(w.until([&] {
            const auto here = w.coordinator->hosts().hosts_of("g2");
            return here.size() == 1 && here[0]->name == host &&
                   Hosts::state_on(*here[0], "g2") == GuestState::running;
        })) << host;
        EXPECT_EQ(running(), 1);
    }
    void expect_job_goes_on() { EXPECT_TRUE(w.line()); }
};

// ---- what fails ----

TEST_F(CoordinatorMoves, WhateverFailsBeforeTheWordLeavesItWhereItWas) {
    w.ready();
    const std::vector<std::pair<std::string, const char*>> steps = {{"h4", "receive_guest"},
                                                                    {"h2", "send_guest"},
                                                                    {"h2", "switch_guest"},
                                                                    {"h4", "await_guest"}};
    for (const auto& [host, verb] : steps) {
        for (const bool answers : {true, false}) {
            FakeBridge& b = w.bridge(host);
            if (answers) {
                b.refuse.emplace(verb, fail("a test's act", "", "it will not"));
            } else {
                b.mute.insert(verb);
            }
            auto report = w.move("g2", "h4");
            ASSERT_TRUE(report) << report.error().text();
            EXPECT_EQ(report->line.phase, Phase::aborted) << verb;
            EXPECT_NE(report->line.reason, "") << verb;
            b.refuse.clear();
            b.mute.clear();
            expect_at("h2");
            EXPECT_EQ(w.count("h4 resume_guests"), 0);
        }
    }
    expect_job_goes_on();
}

TEST_F(CoordinatorMoves, ARankThatNeverDrainsLeavesItWhereItWas) {
    w.ready();
    w.master("g3").silent = false;
    auto report = w.move("g2", "h4");
    ASSERT_TRUE(report);
    EXPECT_NE(report->line.reason.find("no answer from node g3"), std::string::npos);
    w.master("g3").silent = true;
    expect_at("h2");
    expect_job_goes_on();
}

TEST_F(CoordinatorMoves, ATargetThatIsLostBeforeTheWordIsNoLoss) {
    w.ready();
    w.bridge("h4").mute.insert(AwaitGuest::kType);
    std::optional<Result<MoveReport>> outcome;
    w.coordinator->moves().move("g2", "h4", "test", {{}, [&](auto r) { outcome = std::move(r); }});
    ASSERT_TRUE(w.until([&] { return w.count("h4 await_guest") == 1; }));
    w.bridge("h4").die();
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    EXPECT_EQ((*outcome)->line.phase, Phase::aborted);
    expect_at("h2");
    expect_job_goes_on();
}

// The word was sent, and nobody knows whether it was heard: the source does not run it until the
// target has said what it has.
TEST_F(CoordinatorMoves, AfterTheWordOnlyTheTargetKnows) {
    for (const bool heard : {true, false}) {
        World w;
        w.ready();
        w.bridge("h4").mute.insert(ResumeGuests::kType);
        std::optional<Result<MoveReport>> outcome;
        w.coordinator->moves().move("g2", "h4", "test",
                                    {{}, [&](auto r) { outcome = std::move(r); }});
        ASSERT_TRUE(w.until([&] { return w.count("h4 resume_guests") == 1; }));
        w.bridge("h4").channel->close(fail("", "", "cut"));
        ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
        EXPECT_EQ((*outcome)->line.phase, Phase::aborted);
        w.settle(100);
        EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::moved)) << "it waits";
        EXPECT_EQ(w.count("h2 resume_guests"), 0);
        w.bridge("h4").mute.clear();
        for (GuestInfo& g : w.bridge("h4").inventory.guests) {
            if (g.name == "g2" && heard) g.state = GuestState::running;
        }
        w.bridge("h4").connect();
        EXPECT_TRUE(w.until([&] {
            return w.bridge("h4").has("g2", GuestState::running) &&
                   w.bridge("h2").has("g2", GuestState::absent);
        }));
        EXPECT_EQ(w.count("h2 resume_guests"), 0);
    }
}

TEST_F(CoordinatorMoves, ACoordinatorThatEndsInTheMidstKnowsAfterwards) {
    w.ready();
    w.bridge("h4").mute.insert(ResumeGuests::kType);
    w.coordinator->moves().move("g2", "h4", "test", {{}, [](const auto&) {}});
    ASSERT_TRUE(w.until([&] { return w.count("h4 resume_guests") == 1; }));
    w.stop();
    w.start();
    w.bridge("h4").mute.clear();
    w.bridge("h2").connect();
    w.settle(100);
    EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::moved)) << "h4 has not spoken yet";
    w.bridge("h4").connect();
    expect_at("h4");
    EXPECT_TRUE(w.until([&] {
        auto history = w.ask(kUser, "history", {{"count", 0}});
        return history && history->at("moves").at(0).at("line").at("phase") == "done";
    }));
}

// What is left of it at the source is as old as the move.
TEST_F(CoordinatorMoves, ARemnantNeverRunsOnceTheGuestWasGivenAway) {
    w.ready();
    w.bridge("h2").mute.insert(DestroyGuests::kType);
    auto report = w.move("g2", "h4");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->line.phase, Phase::done);
    ASSERT_TRUE(w.bridge("h2").has("g2", GuestState::moved));
    for (const bool restarted : {false, true}) {
        w.bridge("h4").die();
        w.settle(50);
        if (restarted) {
            w.stop();
            w.start();
            w.bridge("h2").connect();
        }
        w.bridge("h4").connect();
        w.settle(100);
        EXPECT_EQ(w.count("h2 resume_guests"), 0);
        EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::moved));
    }
}

TEST_F(CoordinatorMoves, AGuestWhoseNewHostIsSilentStaysStillAcrossARestart) {
    w.ready();
    w.bridge("h4").mute.insert(ResumeGuests::kType);
    w.coordinator->moves().move("g2", "h4", "test", {{}, [](const auto&) {}});
    ASSERT_TRUE(w.until([&] { return w.count("h4 resume_guests") == 1; }));
    w.bridge("h4").channel->close(fail("", "", "cut"));
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    w.settle(50);
    w.stop();
    w.start();
    for (const char* h : {"h1", "h2", "h3"}) w.bridge(h).connect();
    w.settle(400);  // h4 is lost by now
    EXPECT_EQ(w.count("h2 resume_guests"), 0);
    EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::moved));
}

// What stood in its queue ran for the next one, on what was freed: an answer of Slurm's, a timer.
TEST_F(CoordinatorMoves, NothingOfACoordinatorThatWasKilledRunsLater) {
    for (int turns = 0; turns < 8; ++turns) {
        for (const char* h : {"h1", "h2"}) w.bridge(h).connect();
        w.settle(10);
        // Every timer of its is due at once, as on a loaded machine.
        std::this_thread::sleep_for(2 * Milliseconds(w.config.coordinator.watch_nodes_ms));
        w.run(turns);
        w.stop();
        w.start();
        w.settle(10);
        EXPECT_TRUE(w.coordinator->lines().all().empty());
    }
}

TEST_F(CoordinatorMoves, ARestoreFencesTheHostThatAGuestWasGivenTo) {
    w.ready();
    ASSERT_TRUE(w.line());
    w.bridge("h4").mute.insert(ResumeGuests::kType);
    w.coordinator->moves().move("g2", "h4", "test", {{}, [](const auto&) {}});
    ASSERT_TRUE(w.until([&] { return w.count("h4 resume_guests") == 1; }));
    w.bridge("h4").channel->close(fail("", "", "cut"));
    ASSERT_TRUE(w.until([&] { return w.coordinator->lines().all().empty(); }));
    auto report = w.restore();
    ASSERT_FALSE(report) << "there is no fence program, and it may run there";
    EXPECT_NE(report.error().text().find("h4"), std::string::npos) << report.error().text();
}

TEST_F(CoordinatorMoves, AStopRemovesWhatIsLeftOfAGuestOnBothHosts) {
    w.bridge("h1").add("g2", GuestState::arrived);
    w.bridge("h2").add("g2", GuestState::moved);
    for (const char* h : {"h1", "h2"}) w.bridge(h).connect();
    w.settle(50);
    ASSERT_EQ(w.count("h1 resume_guests") + w.count("h2 resume_guests"), 0);
    w.bridge("h1").refuse[DestroyGuests::kType] = fail("destroying guest g2", "", "not now");
    auto stopped = w.ask(0, "stop", {{"guest", "g2"}, {"host", ""}});
    ASSERT_FALSE(stopped);
    EXPECT_NE(stopped.error().text().find("not now"), std::string::npos);
    w.bridge("h1").refuse.clear();
    ASSERT_TRUE(w.ask(0, "stop", {{"guest", "g2"}, {"host", ""}}));
    for (const char* h : {"h1", "h2"}) EXPECT_TRUE(w.bridge(h).has("g2", GuestState::absent)) << h;
}

TEST_F(CoordinatorMoves, AGuestThatRunsTwiceIsStoppedWhereItIsSaid) {
    for (const char* h : {"h1", "h2"}) w.bridge(h).add("g2", GuestState::running);
    for (const char* h : {"h1", "h2"}) w.bridge(h).connect();
    w.settle(50);
    auto stopped = w.ask(0, "stop", {{"guest", "g2"}, {"host", ""}});
    ASSERT_FALSE(stopped);
    EXPECT_NE(stopped.error().text().find("on h1 and on h2"), std::string::npos);
    EXPECT_FALSE(w.ask(0, "stop", {{"guest", "g2"}, {"host", "h3"}}));
    ASSERT_TRUE(w.ask(0, "stop", {{"guest", "g2"}, {"host", "h1"}}));
    EXPECT_TRUE(w.bridge("h1").has("g2", GuestState::absent));
    EXPECT_TRUE(w.bridge("h2").has("g2", GuestState::running));
}

TEST_F(CoordinatorMoves, WhoWaitsForAMoveIsToldThatTheCoordinatorEnds) {
    w.config.coordinator.moves_at_once = 1;
    w.stop();
    w.start();
    w.ready();
    w.bridge("h1").mute.insert(SendGuest::kType);
    std::map<std::string, std::string> why;
    for (const char* g : {"g1", "g2"}) {
        w.coordinator->moves().move(g, "h4", "test", {{}, [&why, g](Result<MoveReport> r) {
                                                          why[g] =
                                                              r ? r->line.reason : r.error().text();
                                                      }});
    }
    ASSERT_TRUE(w.until([&] { return w.count("h1 send_guest") == 1; }));
    bool ended = false;
    w.coordinator->stop([&] { ended = true; });
    ASSERT_TRUE(w.until([&] { return ended; }));
    EXPECT_NE(why["g1"].find("the coordinator"), std::string::npos) << why["g1"];
    EXPECT_NE(why["g2"].find("ask again when it is back"), std::string::npos) << why["g2"];
    EXPECT_TRUE(w.bridge("h1").has("g1", GuestState::running));
}

TEST_F(CoordinatorMoves, AHostThatStillHasAGuestIsNotCalledEmpty) {
    w.ready();
    for (GuestInfo& g : w.bridge("h2").inventory.guests) {
        if (g.name == "g2") g.state = GuestState::paused;
    }
    w.bridge("h2").tell_inventory();
    w.settle();
    auto reports = w.ask(0, "evacuate", {{"host", "h2"}});
    ASSERT_FALSE(reports);
    EXPECT_NE(reports.error().text().find("guest g2 is paused"), std::string::npos);
}

TEST_F(CoordinatorMoves, WhatCannotBeIsRefused) {
    w.ready();
    auto refused = [&](const std::string& guest, const std::string& host, const std::string& why) {
        auto report = w.move(guest, host);
        ASSERT_FALSE(report) << guest;
        EXPECT_NE(report.error().text().find(why), std::string::npos) << report.error().text();
    };
    refused("g9", "", "no guest of a connected host");
    refused("g2", "h2", "it is on h2");
    refused("g2", "h9", "no host h9 is connected");
    w.bridge("h4").inventory.memory_free_mib = 100;
    w.bridge("h4").tell_inventory();
    w.settle();
    refused("g2", "h4", "h4 has 100 MiB free");
    EXPECT_EQ(w.ask(kUser, "migrate", {{"guest", "g2"}, {"host", ""}}).error().kind,
              ErrorKind::denied);
    EXPECT_EQ(w.ask(kUser, "evacuate", {{"host", "h2"}}).error().kind, ErrorKind::denied);
}

// ---- what succeeds ----

TEST_F(CoordinatorMoves, AGuestMovesInTheSilenceOfItsJob) {
    w.ready();
    auto report = w.move("g2", "h4");
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->line.phase, Phase::done) << report->line.reason;
    EXPECT_TRUE(report->drained);
    EXPECT_EQ(report->sent_bytes, 2U << 20);
    EXPECT_EQ(report->line.proof.ranks, 6U);
    EXPECT_LT(w.place_of("h2 send_guest"), w.place_of("g1 drain"));
    EXPECT_LT(w.place_of("g3 drain"), w.place_of("h2 switch_guest"));
    EXPECT_LT(w.place_of("h4 await_guest"), w.place_of("h4 resume_guests"));
    EXPECT_LT(w.place_of("h4 resume_guests"), w.place_of("g1 release"));
    EXPECT_LT(w.place_of("h4 resume_guests"), w.place_of("h2 destroy_guests"));
    expect_at("h4");
    for (const char* g : {"g1", "g2", "g3"}) EXPECT_FALSE(w.master(g).releases.back().aborted);
    expect_job_goes_on();
}

TEST_F(CoordinatorMoves, TheOthersGoOnWhenItIsBackOnTheNetworkOrAfterAWhile) {
    for (const bool lost : {false, true}) {
        World w;
        // One that is lost is known at once.
        if (lost) w.config.deadlines.release_ms = 60'000;
        w.stop();
        w.start();
        w.ready();
        w.master("g2").answers = false;
        std::optional<Result<MoveReport>> outcome;
        w.coordinator->moves().move("g2", "h4", "test",
                                    {{}, [&](auto r) { outcome = std::move(r); }});
        ASSERT_TRUE(w.until([&] { return w.count("g2 release") == 1; }));
        w.settle();
        EXPECT_EQ(w.count("g1 release") + w.count("g3 release"), 0);
        if (lost) w.master("g2").die();
        ASSERT_TRUE(w.until([&] { return w.count("g1 release") + w.count("g3 release") == 2; }));
        w.master("g2").answers = true;
        if (lost) w.master("g2").connect();
        ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
        EXPECT_EQ((*outcome)->line.phase, Phase::done) << (*outcome)->line.reason;
        EXPECT_TRUE((*outcome)->drained);
    }
}

TEST_F(CoordinatorMoves, AGuestWithoutAJobMovesToo) {
    w.bridge("h1").add("g2", GuestState::absent);
    w.bridge("h2").add("g2", GuestState::running);
    for (const char* h : {"h1", "h2"}) w.bridge(h).connect();
    w.settle();
    auto report = w.move("g2");
    ASSERT_TRUE(report) << report.error().text();
    EXPECT_EQ(report->line.phase, Phase::done);
    EXPECT_FALSE(report->drained);
    expect_at("h1");
}

TEST_F(CoordinatorMoves, AVmmThatIsQuickerMovesItWithoutASilence) {
    w.ready();
    w.bridge("h2").stops_early = true;
    auto report = w.move("g2", "h4");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->line.phase, Phase::done);
    EXPECT_FALSE(report->drained);
    EXPECT_EQ(w.count("g1 drain"), 0);
    expect_at("h4");
    expect_job_goes_on();
}

// Word of it comes while the job is being drained: its own ranks cannot answer any more.
TEST_F(CoordinatorMoves, AGuestThatStopsInTheMidstOfTheDrainMovesAtOnce) {
    w.ready();
    w.master("g2").silent = false;
    std::optional<Result<MoveReport>> outcome;
    w.coordinator->moves().move("g2", "h4", "test", {{}, [&](auto r) { outcome = std::move(r); }});
    ASSERT_TRUE(w.until([&] { return w.count("g2 drain") == 1; }));
    w.bridge("h2").channel->send(MoveProgress{1, 5, 0, 0, 3, true});
    ASSERT_TRUE(w.until([&] { return outcome.has_value(); }));
    ASSERT_TRUE(*outcome);
    EXPECT_EQ((*outcome)->line.phase, Phase::done) << (*outcome)->line.reason;
    EXPECT_FALSE((*outcome)->drained);
    w.master("g2").silent = true;
    EXPECT_TRUE(w.master("g1").releases.back().aborted);
    expect_at("h4");
    expect_job_goes_on();
}

TEST_F(CoordinatorMoves, AJobThatCannotDrainIsMovedAllTheSame) {
    w.ready();
    w.master("g1").state.leaving = 1;
    w.master("g1").tell();
    w.settle();
    auto report = w.move("g2", "h4");
    ASSERT_TRUE(report);
    EXPECT_EQ(report->line.phase, Phase::done);
    EXPECT_FALSE(report->drained);
    EXPECT_NE(report->note.find("finalising"), std::string::npos) << report->note;
}

TEST_F(CoordinatorMoves, AnEvacuatedHostIsEmptyAndStaysSo) {
    w.ready();
    auto reports = w.ask(0, "evacuate", {{"host", "h2"}});
    ASSERT_TRUE(reports) << reports.error().text();
    EXPECT_EQ(reports->at("moves").as_array().size(), 1U);
    expect_at("h4");
    auto back = w.move("g1");
    ASSERT_TRUE(back) << back.error().text();
    EXPECT_NE(back->to, "h2") << "it is closed";
    w.stop();
    w.start();
    for (const char* h : {"h1", "h2", "h3", "h4"}) w.bridge(h).connect();
    w.settle(100);
    EXPECT_TRUE(w.coordinator->moves().is_closed("h2")) << "also to the next coordinator";
    ASSERT_TRUE(w.ask(0, "reopen", {{"host", "h2"}}));
    EXPECT_FALSE(w.ask(0, "reopen", {{"host", "h2"}}));
    auto report = w.move("g2", "h2");
    ASSERT_TRUE(report) << report.error().text();
    expect_at("h2");
}

TEST_F(CoordinatorMoves, GuestsOfOneJobMoveOneAfterTheOther) {
    w.ready();
    int ended = 0;
    for (const char* g : {"g1", "g2", "g3"}) {
        w.coordinator->moves().move(g, "h4", "test", {{}, [&](Result<MoveReport> r) {
                                                          ASSERT_TRUE(r) << r.error().text();
                                                          EXPECT_EQ(r->line.phase, Phase::done)
                                                              << r->line.reason;
                                                          ++ended;
                                                      }});
    }
    ASSERT_TRUE(w.until([&] { return ended == 3; }));
    EXPECT_EQ(w.count("g1 drain"), 3);
    expect_job_goes_on();
}

// ---- by scontrol ----

struct CoordinatorDrains : CoordinatorMoves {
    const NodeFacts& node(const std::string& name) {
        for (const NodeFacts& n : w.slurm->node_list) {
            if (n.name == name) return n;
        }
        static const NodeFacts none;
        return none;
    }
};

TEST_F(CoordinatorDrains, OtherPeoplesDrainsAreLeftAlone) {
    w.ready();
    w.slurm->drain("g2", "bad memory");
    w.slurm->drain("n77", "grl migrate");
    w.slurm->drain("g3", "grl kernel bug");
    w.slurm->drain("g1", "grlfs is broken");
    w.settle(200);
    EXPECT_EQ(node("g3").reason, "grl kernel bug");
    EXPECT_EQ(node("g1").reason, "grlfs is broken");
    EXPECT_TRUE(node("g2").drained);
    EXPECT_EQ(node("g2").reason, "bad memory");
    EXPECT_EQ(w.count("h2 send_guest"), 0);
}

TEST_F(CoordinatorDrains, AGuestThatCannotMoveStaysDrainedAndSaysWhy) {
    w.ready();
    w.slurm->drain("g2", "grl migrate h9");
    ASSERT_TRUE(w.until([&] { return node("g2").reason.starts_with("grl: stays"); }));
    EXPECT_NE(node("g2").reason.find("no host h9"), std::string::npos) << node("g2").reason;
    w.settle(100);
    EXPECT_TRUE(node("g2").drained);
    EXPECT_EQ(w.count("h2 send_guest"), 0);
}

TEST_F(CoordinatorDrains, AGuestsNodeMovesAndIsResumed) {
    w.ready();
    w.slurm->drain("g2", "grl migrate");
    ASSERT_TRUE(w.until([&] { return !node("g2").drained; }));
    EXPECT_EQ(node("g2").comment, "rack=7 host=h4");
    expect_at("h4");
    EXPECT_EQ(w.count("h2 send_guest"), 1);
    w.slurm->drain("g2", "grl migrate h2");
    ASSERT_TRUE(w.until([&] { return !node("g2").drained; }));
    expect_at("h2");
}

TEST_F(CoordinatorDrains, ANodeThatIsDrainedAnewMeanwhileStaysDrained) {
    w.ready();
    w.bridge("h2").late.insert(SendGuest::kType);
    w.slurm->drain("g2", "grl migrate");
    ASSERT_TRUE(w.until([&] { return w.count("h2 send_guest") == 1; }));
    w.slurm->drain("g2", "bad disk");
    w.settle(100);
    w.bridge("h2").let();
    expect_at("h4");
    w.settle(100);
    EXPECT_TRUE(node("g2").drained);
    EXPECT_EQ(node("g2").reason, "bad disk");
}

TEST_F(CoordinatorDrains, AHostsNodeIsEmptiedAndStaysDrained) {
    w.ready();
    w.slurm->drain("h2", "new power supply");
    ASSERT_TRUE(w.until([&] { return node("h2").reason.ends_with("1 guests moved"); }));
    EXPECT_TRUE(node("h2").drained);
    expect_at("h4");
    EXPECT_TRUE(w.coordinator->moves().is_closed("h2"));
    w.slurm->node_list.clear();
    w.slurm->node_list.push_back({"h2", false, "", "", 0});
    ASSERT_TRUE(w.until([&] { return !w.coordinator->moves().is_closed("h2"); }));
}

}  // namespace
}  // namespace grl::coordinator
