// A guest's move between two bridges, on a VMM that exists in memory only and on real QEMUs, which
// sit in their firmware. The network is a pair of sockets.
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "tests/unit/bridge/support.h"
#include "vmm_bridge/bridge.h"
#include "vmm_bridge/qemu/driver.h"
#include "vmm_bridge/verbs.h"

namespace grl::bridge {
namespace {

struct Side {
    Side(asio::io_context& loop, std::string name, bool real) : io(loop), host(std::move(name)) {
        config.cluster = "test";
        config.bridge.host = host;
        config.bridge.memory_mib = 1024;
        config.bridge.guest_dir = directory.path + "/guests";
        config.bridge.image_dir = directory.path + "/images";
        config.bridge.run_dir = directory.path + "/run";
        std::filesystem::create_directories(config.bridge.run_dir);
        std::filesystem::create_directories(config.bridge.image_dir);
        write_definition(config.bridge.guest_dir, test_definition("g1"));
        open(real);
    }
    void open(bool real) {
        std::unique_ptr<Driver> driver;
        if (real) {
            driver = std::make_unique<QemuDriver>(io, config.bridge.run_dir);
        } else {
            auto made = std::make_unique<FakeDriver>(io);
            fake = made.get();
            driver = std::move(made);
        }
        bridge = std::make_unique<Bridge>(
            io, config, std::move(driver),
            Bridge::Events{[this](const Inventory& i) { inventory = i; }, [](const GuestDied&) {},
                           [](const LineProgress&) {}, [](const GuestDurable&) {},
                           [](const GuestFailed&) {},
                           [this](const MoveProgress& p) { progress = p; }});
        ASSERT_TRUE(wait_for<Done>(io, [&](auto done) { bridge->open(done); }));
    }
    void start(const char* verb, json::object body, std::optional<Result<json::object>>& outcome) {
        outcome.reset();
        run_verb(*bridge, verb, body, [&](Result<json::object> r) { outcome = std::move(r); });
    }
    Result<json::object> ask(const char* verb, json::object body) {
        Result<json::object> r =
            wait_for<json::object>(io, [&](auto done) { run_verb(*bridge, verb, body, done); });
        if (!r) last_error = r.error().text();
        return r;
    }
    GuestState state() {
        bridge->send_inventory(true);
        for (const auto& g : inventory.guests) {
            if (g.name == "g1") return g.state;
        }
        return GuestState::absent;
    }

    asio::io_context& io;
    std::string host;
    TemporaryDirectory directory;
    BridgeConfig config;
    std::unique_ptr<Bridge> bridge;
    FakeDriver* fake = nullptr;
    Inventory inventory;
    MoveProgress progress;
    std::string last_error;
};

// The parameter: on real QEMUs.
class MoveTest : public ::testing::TestWithParam<bool> {
  protected:
    void SetUp() override {
        if (GetParam() && access("/usr/bin/qemu-system-x86_64", X_OK) != 0) {
            GTEST_SKIP() << "no QEMU here";
        }
        source = std::make_unique<Side>(io, "h1", GetParam());
        target = std::make_unique<Side>(io, "h2", GetParam());
        ASSERT_TRUE(source->ask("start_guest", {{"guest", "g1"}})) << source->last_error;
    }
    void TearDown() override {
        for (Side* side : {source.get(), target.get()}) {
            if (side) {
                EXPECT_TRUE(side->ask("destroy_guests", {{"guests", {"g1"}}}));
            }
        }
        io.restart();
        io.run_for(std::chrono::seconds(1));
    }
    void connect() {
        int ends[2];
        ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        target->bridge->stream_opened("token", {Fd(ends[1]), secret});
        source->bridge->stream_opened("token", {Fd(ends[0]), secret});
    }
    // The first pass: what the source says of it.
    Precopied copy() {
        EXPECT_TRUE(target->ask("receive_guest", receive)) << target->last_error;
        std::optional<Result<json::object>> outcome;
        source->start("send_guest", send, outcome);
        connect();
        EXPECT_TRUE(run_until(io, [&] { return outcome.has_value(); }));
        if (!outcome || !*outcome) return {};
        return *from_json<Precopied>(**outcome, "precopied");
    }
    void switch_over() {
        ASSERT_TRUE(source->ask("switch_guest", {{"move", 5}})) << source->last_error;
        ASSERT_TRUE(target->ask("await_guest", {{"move", 5}})) << target->last_error;
        EXPECT_EQ(source->state(), GuestState::moved);
        EXPECT_EQ(target->state(), GuestState::arrived);
    }
    void encrypt(const std::string& with) {
        secret = with;
        receive["encrypted"] = send["encrypted"] = true;
    }
    json::object receive{{"move", 5}, {"guest", "g1"}, {"token", "token"}, {"encrypted", false}};
    json::object send{{"move", 5},
                      {"guest", "g1"},
                      {"token", "token"},
                      {"address", "127.0.0.1:1"},
                      {"limit_mib_s", 0},
                      {"encrypted", false}};
    std::string secret;

    asio::io_context io;
    std::unique_ptr<Side> source, target;
};

TEST_P(MoveTest, ItRunsThereAndOnlyThere) {
    copy();
    switch_over();
    ASSERT_TRUE(target->ask("resume_guests", {{"guests", {"g1"}}})) << target->last_error;
    EXPECT_EQ(target->state(), GuestState::running);
    EXPECT_EQ(source->state(), GuestState::moved);
    EXPECT_FALSE(target->ask("drop_move", {{"move", 5}}) && target->state() != GuestState::running)
        << "a word too late changes nothing";
    ASSERT_TRUE(source->ask("destroy_guests", {{"guests", {"g1"}}})) << source->last_error;
    EXPECT_EQ(source->state(), GuestState::absent);
    EXPECT_EQ(target->state(), GuestState::running);
}

TEST_P(MoveTest, AnEncryptedOneGoesOver) {
    encrypt(std::string(64, 'k'));
    copy();
    switch_over();
    ASSERT_TRUE(target->ask("resume_guests", {{"guests", {"g1"}}})) << target->last_error;
    EXPECT_EQ(target->state(), GuestState::running);
}

TEST_P(MoveTest, AStreamWithoutAKeyIsRefusedWhereOneIsWanted) {
    encrypt("");
    copy();
    EXPECT_FALSE(target->ask("await_guest", {{"move", 5}}));
    EXPECT_NE(target->last_error.find("no key"), std::string::npos) << target->last_error;
    ASSERT_TRUE(source->ask("drop_move", {{"move", 5}}));
    EXPECT_EQ(source->state(), GuestState::running);
}

TEST_P(MoveTest, AMoveThatIsDroppedLeavesItWhereItWas) {
    for (int steps = 0; steps < 3; ++steps) {
        if (steps == 0) {
            ASSERT_TRUE(target->ask("receive_guest", receive)) << target->last_error;
        }
        if (steps > 0) copy();
        if (steps > 1) switch_over();
        ASSERT_TRUE(target->ask("drop_move", {{"move", 5}})) << target->last_error;
        ASSERT_TRUE(source->ask("drop_move", {{"move", 5}})) << source->last_error;
        EXPECT_EQ(source->state(), GuestState::running) << "after " << steps << " steps";
        EXPECT_EQ(target->state(), GuestState::absent) << "after " << steps << " steps";
    }
}

TEST_P(MoveTest, WhatIsNeitherHereNorThereWaitsForTheCoordinator) {
    copy();
    switch_over();
    // As kill -9 of both bridges would, where guests outlive them.
    for (Side* side : {source.get(), target.get()}) {
        if (GetParam()) side->bridge.reset();
        if (GetParam()) side->open(true);
        side->bridge->link_up();
    }
    EXPECT_EQ(source->state(), GuestState::moved);
    EXPECT_EQ(target->state(), GuestState::arrived);
    ASSERT_TRUE(target->ask("destroy_guests", {{"guests", {"g1"}}})) << target->last_error;
    ASSERT_TRUE(source->ask("resume_guests", {{"guests", {"g1"}}})) << source->last_error;
    EXPECT_EQ(source->state(), GuestState::running);
}

TEST_P(MoveTest, AStreamThatBreaksLeavesItWhereItWas) {
    ASSERT_TRUE(target->ask("receive_guest", receive)) << target->last_error;
    std::optional<Result<json::object>> outcome;
    source->start("send_guest", send, outcome);
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    source->bridge->stream_opened("token", {Fd(ends[0]), secret});
    Fd(ends[1]).reset();
    ASSERT_TRUE(run_until(io, [&] { return outcome.has_value(); }));
    if (*outcome) {
        EXPECT_FALSE(source->ask("switch_guest", {{"move", 5}}));
    }
    ASSERT_TRUE(source->ask("drop_move", {{"move", 5}}));
    EXPECT_EQ(source->state(), GuestState::running);
}

TEST_P(MoveTest, TheCoordinatorsReturnEndsWhatItHasForgotten) {
    copy();
    target->bridge->link_up();
    source->bridge->link_up();
    for (Side* side : {target.get(), source.get()}) {
        ASSERT_TRUE(side->ask("drop_move", {{"move", 5}})) << side->last_error;
    }
    EXPECT_EQ(source->state(), GuestState::running);
    EXPECT_EQ(target->state(), GuestState::absent);
    copy();
    switch_over();
}

INSTANTIATE_TEST_SUITE_P(Of, MoveTest, ::testing::Bool(),
                         [](const auto& real) { return real.param ? "QEMU" : "AnyVmm"; });

class FakeMoveTest : public MoveTest {};

TEST_P(FakeMoveTest, AVmmThatIsQuickerIsLetFinish) {
    source->fake->faults = {"stops_early"};
    EXPECT_TRUE(copy().stopped);
    switch_over();
    EXPECT_EQ(target->fake->guests["g1"].memory, "memory of g1");
}

TEST_P(FakeMoveTest, NoLineIsTakenOfAGuestThatIsBeingSent) {
    copy();
    const json::object line{
        {"id", {{"job", 7}, {"line", 1}}}, {"guests", json::array{"g1"}}, {"capture", "auto"}};
    EXPECT_FALSE(source->ask("prepare_line", line));
    EXPECT_NE(source->last_error.find("on its way to another host"), std::string::npos);
    EXPECT_FALSE(source->ask("resume_guests", {{"guests", {"g1"}}})) << "nor by the other door";
    EXPECT_FALSE(target->ask("receive_guest", {{"move", 6}, {"guest", "g1"}, {"token", "other"}}));
}

TEST_P(FakeMoveTest, AdaptersGoBeforeItStandsStillAndComeBackWhereItRuns) {
    source->fake->guests["g1"].definition.adapters = 1;
    copy();
    source->fake->calls.clear();
    switch_over();
    EXPECT_EQ(std::ranges::count(source->fake->calls, "detach g1"), 1);
    target->fake->guests["g1"].definition.adapters = 1;
    ASSERT_TRUE(target->ask("resume_guests", {{"guests", {"g1"}}})) << target->last_error;
    EXPECT_EQ(std::ranges::count(target->fake->calls, "attach g1"), 1);
}

TEST_P(FakeMoveTest, AGuestThatKeepsItsAdapterStaysWithIt) {
    source->fake->guests["g1"].definition.adapters = 1;
    source->fake->faults = {"detach_fails"};
    copy();
    EXPECT_FALSE(source->ask("switch_guest", {{"move", 5}}));
    EXPECT_NE(source->last_error.find("detaching"), std::string::npos) << source->last_error;
    ASSERT_TRUE(source->ask("drop_move", {{"move", 5}})) << source->last_error;
    EXPECT_EQ(source->state(), GuestState::running);
    EXPECT_EQ(std::ranges::count(source->fake->calls, "attach g1"), 1);
}

INSTANTIATE_TEST_SUITE_P(Of, FakeMoveTest, ::testing::Values(false));

}  // namespace
}  // namespace grl::bridge
