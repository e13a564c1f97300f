// The QEMU driver on real QEMUs: without a kernel they sit in their firmware, which is enough.
#include <signal.h>

#include <boost/asio/steady_timer.hpp>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "tests/unit/bridge/support.h"
#include "vmm_bridge/bridge.h"
#include "vmm_bridge/qemu/driver.h"
#include "vmm_bridge/verbs.h"

namespace grl::bridge {
namespace {

class QemuDriverTest : public ::testing::Test {
  protected:
    void SetUp() override {
        if (access("/usr/bin/qemu-system-x86_64", X_OK) != 0) GTEST_SKIP() << "no QEMU here";
        config.cluster = "test";
        config.bridge.host = "h1";
        config.bridge.memory_mib = 1024;
        config.bridge.guest_dir = directory.path + "/guests";
        config.bridge.image_dir = directory.path + "/images";
        config.bridge.run_dir = directory.path + "/run";
        std::filesystem::create_directories(config.bridge.image_dir);
        std::filesystem::create_directories(config.bridge.run_dir);
        for (const auto* name : {"g1", "g2"})
            write_definition(config.bridge.guest_dir, test_definition(name));
        open();
    }
    void TearDown() override {
        if (!bridge) return;
        EXPECT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));
        io.restart();
        io.run_for(std::chrono::seconds(5));
    }
    void open() {
        bridge = std::make_unique<Bridge>(
            io, config, std::make_unique<QemuDriver>(io, config.bridge.run_dir),
            Bridge::Events{[this](const Inventory& i) { inventory = i; },
                           [this](const GuestDied& d) { died.push_back(d); },
                           [](const LineProgress&) {},
                           [this](const GuestDurable& d) { durable[d.guest] = d; },
                           [this](const GuestFailed& f) { failed.push_back(f); },
                           {}});
        ASSERT_TRUE(wait_for<Done>(io, [&](auto done) { bridge->open(done); }));
    }
    Result<json::object> ask(const char* verb, json::object body) {
        Result<json::object> r =
            wait_for<json::object>(io, [&](auto done) { run_verb(*bridge, verb, body, done); });
        if (!r) last_error = r.error().text();
        return r;
    }
    GuestState state(const std::string& guest) {
        bridge->send_inventory(true);
        for (const auto& g : inventory.guests) {
            if (g.name == guest) return g.state;
        }
        return GuestState::absent;
    }
    pid_t pid(const std::string& guest) {
        return std::stoi(read_text(config.bridge.run_dir + "/" + guest + ".pid"));
    }
    void take_line(std::uint32_t line, const std::string& method) {
        const json::object id{{"id", {{"job", 7}, {"line", line}}}};
        json::object prepare = id;
        prepare["guests"] = {"g1", "g2"};
        prepare["capture"] = method;
        durable.clear();
        ASSERT_TRUE(ask("prepare_line", prepare)) << last_error;
        if (method == "live") {
            ASSERT_TRUE(ask("copy_line", id)) << last_error;
            // It may just have been stopped, as so little was left; then it goes on soon.
            EXPECT_TRUE(run_until(io, [&] { return state("g1") == GuestState::running; }));
        }
        ASSERT_TRUE(ask("freeze_line", id)) << last_error;
        EXPECT_EQ(state("g1"), GuestState::paused);
        Result<json::object> captured = ask("capture_line", id);
        ASSERT_TRUE(captured) << last_error;
        auto report = from_json<CapturedLine>(*captured, "captured");
        ASSERT_TRUE(report);
        for (const auto& g : report->guests) {
            // Of so small a guest little is left at once, and then it is stopped too early.
            const bool too_early = g.note.find("before the job was silent") != std::string::npos;
            if (method == "live" && too_early) continue;
            EXPECT_EQ(name_of(g.method), method) << g.note;
        }
        ASSERT_TRUE(ask("resume_line", id)) << last_error;
        EXPECT_EQ(state("g1"), GuestState::running);
        ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
        EXPECT_TRUE(failed.empty());
    }
    json::object manifest(std::uint32_t line) {
        Manifest m;
        m.cluster = "test";
        m.driver = "qemu";
        m.job = 7;
        m.line = line;
        m.proof.ranks = 2;
        for (const auto& [name, d] : durable) {
            ManifestGuest g;
            g.name = name;
            g.host = "h1";
            g.image = name + ".img";
            g.digest = d.digest;
            g.definition_digest = definition_digest(test_definition(name));
            g.stored_bytes = d.stored_bytes;
            g.raw_bytes = d.raw_bytes;
            m.guests.push_back(g);
        }
        return to_json(m).as_object();
    }

    TemporaryDirectory directory;
    asio::io_context io;
    BridgeConfig config;
    std::unique_ptr<Bridge> bridge;
    Inventory inventory;
    std::vector<GuestDied> died;
    std::map<std::string, GuestDurable> durable;
    std::vector<GuestFailed> failed;
    std::string last_error;
};

TEST_F(QemuDriverTest, LinesAreTakenAndRestored) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    ASSERT_TRUE(ask("start_guest", {{"guest", "g2"}})) << last_error;
    EXPECT_TRUE(ask("start_guest", {{"guest", "g2"}})) << "a second time is as good";
    take_line(1, "background");
    take_line(2, "stop_copy");
    take_line(3, "live");
    take_line(4, "background");
    take_line(5, "live");
    const json::object id{{"job", 7}, {"line", 5}};
    ASSERT_TRUE(ask("commit_line", {{"id", id}, {"manifest", manifest(5)}})) << last_error;
    EXPECT_TRUE(ask("commit_line", {{"id", id}, {"manifest", manifest(5)}})) << last_error;

    EXPECT_FALSE(ask("restore_guests", {{"id", id}, {"guests", {"g1", "g2"}}})) << "they run";
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}})) << last_error;
    EXPECT_EQ(state("g1"), GuestState::absent);
    ASSERT_TRUE(ask("restore_guests", {{"id", id}, {"guests", {"g1", "g2"}}})) << last_error;
    EXPECT_EQ(state("g1"), GuestState::paused);
    EXPECT_TRUE(ask("restore_guests", {{"id", id}, {"guests", {"g1", "g2"}}})) << last_error;
    ASSERT_TRUE(ask("resume_guests", {{"guests", {"g1", "g2"}}})) << last_error;
    EXPECT_EQ(state("g2"), GuestState::running);
}

TEST_F(QemuDriverTest, AFlippedByteIsNotRestored) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    ASSERT_TRUE(ask("start_guest", {{"guest", "g2"}})) << last_error;
    take_line(1, "stop_copy");
    const json::object id{{"job", 7}, {"line", 1}};
    ASSERT_TRUE(ask("commit_line", {{"id", id}, {"manifest", manifest(1)}})) << last_error;
    const std::string image = config.bridge.image_dir + "/test/7/1/g2.img";
    std::string bytes = read_text(image);
    bytes[bytes.size() / 2] ^= 1;
    write_text(image, bytes);
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}})) << last_error;
    EXPECT_FALSE(ask("restore_guests", {{"id", id}, {"guests", {"g1", "g2"}}}));
    EXPECT_NE(last_error.find("have changed"), std::string::npos) << last_error;
    EXPECT_EQ(state("g1"), GuestState::absent);
}

TEST_F(QemuDriverTest, AnAbortBetweenAnyTwoStepsLetsTheGuestsRun) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    const json::object id{{"id", {{"job", 7}, {"line", 1}}}};
    for (const auto* method : {"background", "stop_copy", "live"}) {
        std::vector<const char*> steps{"freeze_line", "capture_line", "resume_line"};
        if (method == std::string("live")) steps.insert(steps.begin(), "copy_line");
        for (std::size_t n = 0; n <= steps.size(); ++n) {
            json::object prepare = id;
            prepare["guests"] = json::array{"g1"};
            prepare["capture"] = method;
            ASSERT_TRUE(ask("prepare_line", prepare)) << last_error;
            for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(ask(steps[i], id)) << last_error;
            ASSERT_TRUE(ask("abort_line", id)) << last_error;
            EXPECT_EQ(state("g1"), GuestState::running) << method << " after " << n << " steps";
            EXPECT_FALSE(std::filesystem::exists(config.bridge.image_dir + "/test/7/1"));
        }
    }
}

TEST_F(QemuDriverTest, AGuestThatDiesIsReported) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    kill(pid("g1"), SIGKILL);
    ASSERT_TRUE(run_until(io, [&] { return !died.empty(); }));
    EXPECT_EQ(died[0].guest, "g1");
    EXPECT_EQ(state("g1"), GuestState::lost);
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    EXPECT_EQ(state("g1"), GuestState::running);
}

TEST_F(QemuDriverTest, ARestartedBridgeTakesOverItsGuests) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    ASSERT_TRUE(ask("start_guest", {{"guest", "g2"}})) << last_error;
    const json::object id{{"id", {{"job", 7}, {"line", 1}}}};
    json::object prepare = id;
    prepare["guests"] = json::array{"g1"};
    prepare["capture"] = "stop_copy";
    ASSERT_TRUE(ask("prepare_line", prepare)) << last_error;
    ASSERT_TRUE(ask("freeze_line", id)) << last_error;
    const pid_t before = pid("g1");
    bridge.reset();  // as kill -9 would: nothing is undone
    open();
    EXPECT_EQ(state("g1"), GuestState::running) << "what a line held goes on";
    EXPECT_EQ(state("g2"), GuestState::running);
    EXPECT_EQ(pid("g1"), before);
}

TEST_F(QemuDriverTest, WhatAGuestLeavesThatEndsWithoutABridgeIsClearedUp) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    const pid_t running = pid("g1");
    bridge.reset();
    kill(running, SIGKILL);
    ASSERT_TRUE(run_until(io, [&] { return command_line_of(running).empty(); }));
    write_text(config.bridge.run_dir + "/g1.moving", "");
    open();
    EXPECT_EQ(state("g1"), GuestState::absent);
    for (const char* left : {"pid", "moving", "definition", "qmp"}) {
        EXPECT_FALSE(std::filesystem::exists(config.bridge.run_dir + "/g1." + left)) << left;
    }
}

TEST_F(QemuDriverTest, AGuestThatEndsWhileItIsTakenOverIsGone) {
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
    const pid_t running = pid("g1");
    bridge.reset();
    kill(running, SIGSTOP);  // so that the new bridge waits for its monitor
    boost::asio::steady_timer later(io, std::chrono::seconds(1));
    later.async_wait([&](boost::system::error_code) { kill(running, SIGKILL); });
    open();
    EXPECT_EQ(state("g1"), GuestState::absent);
    ASSERT_TRUE(ask("start_guest", {{"guest", "g1"}})) << last_error;
}

TEST_F(QemuDriverTest, AQemuThatCannotStartSaysWhy) {
    GuestDefinition d = test_definition("g1");
    write_text(
        config.bridge.guest_dir + "/g1.toml",
        "name = \"g1\"\naddress = \"a\"\nmemory_mib = 32\n[qemu]\nmachine = \"none-such\"\n");
    EXPECT_FALSE(ask("start_guest", {{"guest", "g1"}}));
    EXPECT_NE(last_error.find("unsupported machine type"), std::string::npos) << last_error;
    EXPECT_EQ(state("g1"), GuestState::absent);
}

}  // namespace
}  // namespace grl::bridge
