// The bridge's verbs and its part of a line, on a VMM that exists in memory only.
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"
#include "tests/unit/bridge/support.h"
#include "vmm_bridge/bridge.h"
#include "vmm_bridge/halves/relay.h"
#include "vmm_bridge/qemu/command.h"
#include "vmm_bridge/verbs.h"

namespace grl::bridge {
namespace {

class BridgeTest : public ::testing::Test {
  protected:
    void SetUp() override {
        config.cluster = "test";
        config.bridge.host = "h1";
        config.bridge.memory_mib = 64;
        config.bridge.guest_dir = directory.path + "/guests";
        config.bridge.image_dir = directory.path + "/images";
        std::filesystem::create_directories(config.bridge.image_dir);
        for (const auto* name : {"g1", "g2", "g3"}) {
            write_definition(config.bridge.guest_dir, test_definition(name));
        }
        auto fake = std::make_unique<FakeDriver>(io);
        driver = fake.get();
        bridge = std::make_unique<Bridge>(
            io, config, std::move(fake),
            Bridge::Events{[this](const Inventory& i) { said = i; },
                           [](const GuestDied&) {},
                           [](const LineProgress&) {},
                           [this](const GuestDurable& d) { durable.push_back(d); },
                           [this](const GuestFailed& f) { failed.push_back(f); },
                           {}});
        ASSERT_TRUE(wait_for<Done>(io, [&](auto done) { bridge->open(done); }));
        for (const auto* name : {"g1", "g2"}) ASSERT_TRUE(ask("start_guest", {{"guest", name}}));
    }
    // Threads that still write must be done before the loop goes.
    void TearDown() override {
        EXPECT_TRUE(
            wait_for<Done>(io, [&](auto done) { bridge->abort_all("the test ends", done); }));
        io.restart();
        io.run_for(std::chrono::seconds(5));
    }
    Result<json::object> ask(const char* verb, json::object body) {
        Result<json::object> r =
            wait_for<json::object>(io, [&](auto done) { run_verb(*bridge, verb, body, done); });
        last_error = r ? std::string() : r.error().text();
        if (!r) last_kind = r.error().kind;
        return r;
    }
    static json::object of_line(std::uint32_t line, json::object more = {}) {
        more["id"] = {{"job", 7}, {"line", line}};
        return more;
    }
    static json::object prepare(std::uint32_t line, const char* capture = "background",
                                json::array guests = {"g1", "g2"}) {
        return of_line(line, {{"guests", std::move(guests)}, {"capture", capture}});
    }
    static json::object freeze(std::uint32_t line, std::uint32_t hold_s) {
        return of_line(line, {{"hold_s", hold_s}});
    }
    void take_line(std::uint32_t line) {
        ASSERT_TRUE(ask("prepare_line", prepare(line))) << last_error;
        ASSERT_TRUE(ask("freeze_line", of_line(line))) << last_error;
        ASSERT_TRUE(ask("capture_line", of_line(line))) << last_error;
        ASSERT_TRUE(ask("resume_line", of_line(line))) << last_error;
        ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
    }
    json::object manifest(std::uint32_t line) {
        Manifest m;
        m.cluster = "test";
        m.job = 7;
        m.line = line;
        m.proof.ranks = 2;
        for (const auto& d : durable) {
            ManifestGuest g;
            g.name = d.guest;
            g.image = d.guest + ".img";
            g.digest = d.digest;
            g.definition_digest = definition_digest(test_definition(d.guest));
            g.stored_bytes = d.stored_bytes;
            for (const GuestInfo& info : said.guests) {
                if (info.name == d.guest) g.contents = info.contents;
            }
            m.guests.push_back(g);
        }
        return to_json(m).as_object();
    }
    void commit(std::uint32_t line) {
        ASSERT_TRUE(ask("commit_line", of_line(line, {{"manifest", manifest(line)}})))
            << last_error;
    }
    std::string line_path(std::uint32_t line) {
        return config.bridge.image_dir + "/test/7/" + std::to_string(line);
    }
    bool everything_runs() {
        return driver->guests["g1"].state == GuestState::running &&
               driver->guests["g2"].state == GuestState::running;
    }

    bool both_are_said_to_be(GuestState state) const {
        return std::ranges::count(said.guests, state, &GuestInfo::state) == 2;
    }

    TemporaryDirectory directory;
    asio::io_context io;
    BridgeConfig config;
    FakeDriver* driver = nullptr;
    std::unique_ptr<Bridge> bridge;
    std::vector<GuestDurable> durable;
    std::vector<GuestFailed> failed;
    Inventory said;
    std::string last_error;
    ErrorKind last_kind = ErrorKind::failed;
};

// ---- what is refused ----

TEST_F(BridgeTest, AnUnknownVerbIsAnError) {
    EXPECT_FALSE(ask("run_shell", {}));
    EXPECT_EQ(last_kind, ErrorKind::protocol);
    EXPECT_FALSE(ask("freeze_lin", of_line(1)));
}

TEST_F(BridgeTest, TheNetworkHalfPassesTheVerbsAndNothingElse) {
    for (const auto& verb : verbs()) EXPECT_TRUE(relayed_request(verb.type)) << verb.type;
    for (const auto* other : {"link_up", "link_down", "drain", "inventory", ""}) {
        EXPECT_FALSE(relayed_request(other)) << other;
    }
}

TEST_F(BridgeTest, NamesThatAreNoGuestsAreRefused) {
    for (const auto* name :
         {"", "../g1", "/etc/passwd", "g1/../g2", ".g1", "g1\n", "g9", "g1,file=x"}) {
        EXPECT_FALSE(ask("start_guest", {{"guest", name}})) << name;
        EXPECT_FALSE(ask("destroy_guests", {{"guests", json::array{name}}})) << name;
        EXPECT_FALSE(ask("prepare_line", prepare(1, "auto", {name}))) << name;
        EXPECT_FALSE(ask("restore_guests", of_line(1, {{"guests", json::array{name}}}))) << name;
        EXPECT_FALSE(ask("resume_guests", {{"guests", json::array{name}}})) << name;
    }
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
}

TEST_F(BridgeTest, MalformedRequestsAreRefused) {
    EXPECT_FALSE(ask("start_guest", {}));
    EXPECT_FALSE(ask("start_guest", {{"guest", 7}}));
    EXPECT_FALSE(ask("prepare_line", prepare(0)));
    EXPECT_FALSE(ask("prepare_line", prepare(1, "sideways")));
    EXPECT_FALSE(ask("prepare_line", prepare(1, "auto", {})));
    EXPECT_FALSE(ask("prepare_line", prepare(1, "auto", {"g1", "g1"})));
    EXPECT_FALSE(ask("prepare_line", prepare(1, "auto", {"g3"}))) << "it does not run";
    EXPECT_FALSE(ask("freeze_line", {{"id", {{"job", "7/../.."}, {"line", 1}}}}));
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", {{"format", 1}}}})));
}

TEST_F(BridgeTest, StepsOutOfOrderAreRefused) {
    EXPECT_FALSE(ask("freeze_line", of_line(1)));
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    EXPECT_FALSE(ask("capture_line", of_line(1)));
    EXPECT_FALSE(ask("resume_line", of_line(1)));
    EXPECT_FALSE(ask("freeze_line", of_line(2)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    EXPECT_FALSE(ask("resume_line", of_line(1)));
    EXPECT_FALSE(ask("resume_guests", {{"guests", {"g1"}}})) << "nor by the other door";
}

TEST_F(BridgeTest, AGuestIsInOneLineAtATime) {
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    EXPECT_FALSE(ask("prepare_line", prepare(2, "auto", {"g2"})));
    EXPECT_EQ(last_kind, ErrorKind::refused);
    ASSERT_TRUE(ask("abort_line", of_line(1)));
    EXPECT_TRUE(ask("prepare_line", prepare(2, "auto", {"g2"}))) << last_error;
}

TEST_F(BridgeTest, MemoryThatIsNotThereIsRefused) {
    EXPECT_FALSE(ask("start_guest", {{"guest", "g3"}}));
    EXPECT_NE(last_error.find("32 MiB of memory are wanted, 0 are free"), std::string::npos);
}

// ---- a line ----

TEST_F(BridgeTest, ALineIsTakenCommittedListedVerifiedAndDeleted) {
    take_line(1);
    EXPECT_TRUE(everything_runs());
    EXPECT_FALSE(std::filesystem::exists(line_path(1) + "/manifest.json"));
    commit(1);
    Result<json::object> list = ask("list_lines", {{"after_job", 0}});
    ASSERT_TRUE(list);
    EXPECT_EQ(list->at("manifests").as_array().size(), 1U);
    list = ask("list_lines", {{"after_job", 7}});
    EXPECT_TRUE(list->at("manifests").as_array().empty());
    EXPECT_FALSE(ask("prepare_line", prepare(1))) << "what is committed is never written again";
    ASSERT_TRUE(ask("sweep_lines", {{"active", json::array{}}}));
    auto verified = from_json<VerifiedLine>(*ask("verify_line", of_line(1)), "verified");
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->guests[0].good && verified->guests[1].good);

    std::string bytes = read_text(line_path(1) + "/g2.img");
    bytes[bytes.size() - 30] ^= 1;
    write_text(line_path(1) + "/g2.img", bytes);
    verified = from_json<VerifiedLine>(*ask("verify_line", of_line(1)), "verified");
    for (const auto& g : verified->guests) EXPECT_EQ(g.good, g.guest == "g1") << g.reason;
    ASSERT_TRUE(ask("delete_line", of_line(1)));
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
    EXPECT_TRUE(ask("delete_line", of_line(1))) << "also when it is gone";
}

TEST_F(BridgeTest, WhoeverIsToldOfAHoldOrItsEndSeesItsGuestsSo) {
    for (const auto* end : {"resume_line", "abort_line"}) {
        ASSERT_TRUE(ask("prepare_line", prepare(1, "none")));
        ASSERT_TRUE(ask("freeze_line", freeze(1, 60)));
        EXPECT_TRUE(both_are_said_to_be(GuestState::paused));
        ASSERT_TRUE(ask(end, of_line(1)));
        EXPECT_TRUE(both_are_said_to_be(GuestState::running)) << end;
    }
}

TEST_F(BridgeTest, AHoldTouchesNoStorage) {
    ASSERT_TRUE(ask("prepare_line", prepare(1, "none"))) << last_error;
    ASSERT_TRUE(ask("freeze_line", freeze(1, 60))) << last_error;
    EXPECT_FALSE(everything_runs());
    EXPECT_FALSE(ask("prepare_line", prepare(2))) << "its guests are held";
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
    ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
    EXPECT_TRUE(everything_runs());
    take_line(2);
    ASSERT_TRUE(ask("prepare_line", prepare(3, "none"))) << last_error;
    ASSERT_TRUE(ask("freeze_line", freeze(3, 60))) << last_error;
    ASSERT_TRUE(ask("abort_line", of_line(3))) << last_error;
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, AHoldWithACommittedLineEndsWithoutACoordinatorAndLeavesTheLine) {
    ASSERT_TRUE(ask("prepare_line", prepare(1, "stop_copy"))) << last_error;
    ASSERT_TRUE(ask("freeze_line", freeze(1, 60))) << last_error;
    ASSERT_TRUE(ask("capture_line", of_line(1))) << last_error;
    ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
    EXPECT_FALSE(everything_runs());
    commit(1);
    EXPECT_FALSE(ask("delete_line", of_line(1))) << "its guests stand still with it";
    bridge->link_down();
    EXPECT_TRUE(run_until(
        io, [&] { return !bridge->part_of({7, 1})->active(); }, std::chrono::seconds(10)));
    EXPECT_TRUE(everything_runs());
    auto verified = from_json<VerifiedLine>(*ask("verify_line", of_line(1)), "verified");
    ASSERT_TRUE(verified);
    EXPECT_TRUE(verified->guests[0].good && verified->guests[1].good);
    EXPECT_TRUE(ask("delete_line", of_line(1))) << last_error;
}

TEST_F(BridgeTest, RequestsThatComeAgainHaveTheSameOutcome) {
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(ask("prepare_line", prepare(1))) << last_error;
    Result<json::object> first = ask("freeze_line", of_line(1));
    EXPECT_EQ(*first, *ask("freeze_line", of_line(1)));
    first = ask("capture_line", of_line(1));
    EXPECT_EQ(*first, *ask("capture_line", of_line(1)));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
    ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
    for (int i = 0; i < 2; ++i) commit(1);
    EXPECT_EQ(std::count(driver->calls.begin(), driver->calls.end(), "capture g1 background"), 1);
}

TEST_F(BridgeTest, WithoutBackgroundTheLineIsTakenByStopAndCopyAndSaysWhy) {
    for (const auto* fault : {"no_background", "background_fails"}) {
        driver->faults = {fault, "no_live"};
        durable.clear();
        ASSERT_TRUE(ask("prepare_line", prepare(1, "auto"))) << last_error;
        ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
        Result<json::object> reply = ask("capture_line", of_line(1));
        ASSERT_TRUE(reply) << last_error;
        auto captured = from_json<CapturedLine>(*reply, "captured");
        EXPECT_EQ(captured->guests[0].method, CaptureMethod::stop_copy);
        EXPECT_FALSE(captured->guests[0].note.empty());
        EXPECT_EQ(driver->guests["g1"].state, GuestState::paused) << "until resume_line";
        ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
        EXPECT_TRUE(everything_runs());
        ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
        EXPECT_TRUE(failed.empty());
        ASSERT_TRUE(ask("abort_line", of_line(1)));
    }
}

TEST_F(BridgeTest, WhatIsNextToTheBackgroundIsALiveCaptureIfNothingElseIsAskedFor) {
    driver->faults = {"no_background"};
    for (std::uint32_t line : {1, 2}) {
        const bool automatic = line == 1;
        auto prepared = from_json<PreparedLine>(
            *ask("prepare_line", prepare(line, automatic ? "auto" : "background")), "prepared");
        ASSERT_TRUE(prepared) << last_error;
        EXPECT_EQ(prepared->copies, automatic);
        if (automatic) {
            ASSERT_TRUE(ask("copy_line", of_line(line))) << last_error;
        }
        ASSERT_TRUE(ask("freeze_line", of_line(line))) << last_error;
        auto captured = from_json<CapturedLine>(*ask("capture_line", of_line(line)), "captured");
        ASSERT_TRUE(captured) << last_error;
        EXPECT_EQ(captured->guests[0].method,
                  automatic ? CaptureMethod::live : CaptureMethod::stop_copy);
        EXPECT_EQ(captured->guests[0].note, "no background capture: no userfaultfd");
        ASSERT_TRUE(ask("abort_line", of_line(line))) << last_error;
    }
}

TEST_F(BridgeTest, AGuestThatIsCapturedLiveRunsUntilItsMemoryIsOut) {
    Result<json::object> prepared = ask("prepare_line", prepare(1, "live"));
    ASSERT_TRUE(prepared) << last_error;
    EXPECT_TRUE(from_json<PreparedLine>(*prepared, "prepared")->copies);
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(ask("copy_line", of_line(1))) << last_error;
    EXPECT_EQ(std::count(driver->calls.begin(), driver->calls.end(), "migrate_out g1"), 1);
    EXPECT_TRUE(everything_runs());
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    EXPECT_EQ(driver->guests["g2"].state, GuestState::paused);
    auto captured = from_json<CapturedLine>(*ask("capture_line", of_line(1)), "captured");
    ASSERT_TRUE(captured) << last_error;
    EXPECT_EQ(captured->guests[0].method, CaptureMethod::live);
    EXPECT_FALSE(everything_runs()) << "until resume_line";
    ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
    EXPECT_TRUE(everything_runs());
    ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
    commit(1);
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));
    ASSERT_TRUE(ask("restore_guests", of_line(1, {{"guests", {"g1", "g2"}}}))) << last_error;
    EXPECT_EQ(driver->guests["g1"].memory, "memory of g1.");
    driver->guests["g1"].state = driver->guests["g2"].state = GuestState::running;
}

TEST_F(BridgeTest, AGuestThatStopsBeforeTheSilenceGoesOnAndIsCapturedByStopAndCopy) {
    for (std::uint32_t line : {1, 2}) {
        const bool when_held = line == 2;
        if (!when_held) driver->faults = {"stops_early"};
        durable.clear();
        ASSERT_TRUE(ask("prepare_line", prepare(line, "live"))) << last_error;
        ASSERT_TRUE(ask("copy_line", of_line(line))) << last_error;
        EXPECT_TRUE(everything_runs());
        if (when_held) {
            driver->guests["g1"].state = GuestState::paused;
            driver->guests["g1"].leaving.stopped();
        }
        driver->faults.clear();
        ASSERT_TRUE(ask("freeze_line", of_line(line))) << last_error;
        auto captured = from_json<CapturedLine>(*ask("capture_line", of_line(line)), "captured");
        ASSERT_TRUE(captured) << last_error;
        EXPECT_EQ(captured->guests[0].method, CaptureMethod::stop_copy);
        EXPECT_NE(captured->guests[0].note.find("before the job was silent"), std::string::npos);
        EXPECT_EQ(captured->guests[1].method,
                  when_held ? CaptureMethod::live : CaptureMethod::stop_copy);
        ASSERT_TRUE(ask("resume_line", of_line(line))) << last_error;
        EXPECT_TRUE(everything_runs());
        ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
        EXPECT_TRUE(failed.empty());
    }
}

// The other guests of the line stand still by then: what failed must not run before them.
TEST_F(BridgeTest, ALiveCaptureThatFailsAfterTheStopIsNoLine) {
    driver->faults = {"sending_ends_late"};
    ASSERT_TRUE(ask("prepare_line", prepare(1, "live"))) << last_error;
    ASSERT_TRUE(ask("copy_line", of_line(1))) << last_error;
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    for (const auto* guest : {"g1", "g2"}) {
        std::exchange(driver->guests[guest].leaving, {}).finished(fail("sending", "", "torn"));
    }
    io.restart();
    io.run_for(std::chrono::milliseconds(100));
    EXPECT_EQ(driver->guests["g1"].state, GuestState::paused);
    EXPECT_FALSE(ask("capture_line", of_line(1)));
    EXPECT_NE(last_error.find("torn"), std::string::npos) << last_error;
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, CopyingComesBeforeTheStopOrNotAtAll) {
    ASSERT_TRUE(ask("prepare_line", prepare(1, "stop_copy"))) << last_error;
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    EXPECT_FALSE(ask("copy_line", of_line(1)));
    EXPECT_FALSE(ask("resume_guests", {{"guests", {"g1"}}})) << "the line holds it";
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
}

TEST_F(BridgeTest, ImagesThatAreWrittenAreNotKeptOpen) {
    auto open_images = [&] {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
            std::error_code gone;
            const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
            count += target.ends_with(".img") ? 1 : 0;
        }
        return count;
    };
    for (const auto* method : {"live", "stop_copy", "background"}) {
        durable.clear();
        ASSERT_TRUE(ask("prepare_line", prepare(1, method))) << last_error;
        EXPECT_EQ(open_images(), 2U);
        if (method == std::string("live")) {
            ASSERT_TRUE(ask("copy_line", of_line(1))) << last_error;
        }
        ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
        ASSERT_TRUE(ask("capture_line", of_line(1))) << last_error;
        ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
        ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
        EXPECT_TRUE(run_until(io, [&] { return open_images() == 0; })) << method;
        ASSERT_TRUE(ask("abort_line", of_line(1)));
    }
    ASSERT_TRUE(ask("prepare_line", prepare(2, "stop_copy"))) << last_error;
    ASSERT_TRUE(ask("abort_line", of_line(2)));
    EXPECT_TRUE(run_until(io, [&] { return open_images() == 0; })) << "never started";
}

TEST_F(BridgeTest, ALiveCaptureIsUndoneAtAnyTime) {
    const std::vector<const char*> steps{"copy_line", "freeze_line", "capture_line", "resume_line"};
    for (std::size_t n = 0; n <= steps.size(); ++n) {
        ASSERT_TRUE(ask("prepare_line", prepare(1, "live"))) << last_error;
        for (std::size_t i = 0; i < n; ++i) ASSERT_TRUE(ask(steps[i], of_line(1))) << last_error;
        ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
        EXPECT_TRUE(everything_runs()) << "after " << n << " steps";
        EXPECT_FALSE(std::filesystem::exists(line_path(1)));
    }
    ASSERT_TRUE(ask("prepare_line", prepare(2, "live"))) << last_error;
    EXPECT_FALSE(ask("freeze_line", of_line(2))) << "its memory is not out";
    ASSERT_TRUE(ask("abort_line", of_line(2))) << last_error;
    EXPECT_TRUE(everything_runs());
    ASSERT_TRUE(ask("prepare_line", prepare(3, "live"))) << last_error;
    ASSERT_TRUE(ask("copy_line", of_line(3))) << last_error;
    bridge->link_down();
    EXPECT_TRUE(run_until(
        io,
        [&] {
            return !bridge->part_of({7, 3})->active();
        },
        std::chrono::seconds(10)));
}

TEST_F(BridgeTest, WhereNoLiveCaptureCanBeHadItIsStopAndCopyAndSaysWhy) {
    driver->faults = {"no_live"};
    Result<json::object> prepared = ask("prepare_line", prepare(1, "live"));
    ASSERT_TRUE(prepared) << last_error;
    EXPECT_FALSE(from_json<PreparedLine>(*prepared, "prepared")->copies);
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    auto captured = from_json<CapturedLine>(*ask("capture_line", of_line(1)), "captured");
    ASSERT_TRUE(captured) << last_error;
    EXPECT_EQ(captured->guests[0].method, CaptureMethod::stop_copy);
    EXPECT_EQ(captured->guests[0].note, "no live capture: no log-dirty");
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
}

TEST_F(BridgeTest, ACaptureThatFailsIsAnErrorAndTheAbortLetsEverythingRun) {
    driver->faults = {"capture_fails"};
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    EXPECT_FALSE(ask("capture_line", of_line(1)));
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
    EXPECT_TRUE(everything_runs());
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
    EXPECT_FALSE(ask("resume_line", of_line(1))) << "it was aborted";
}

TEST_F(BridgeTest, AnAbortWhileACaptureHangsLetsEverythingRun) {
    driver->faults = {"capture_hangs"};
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    bool captured = false;
    run_verb(*bridge, "capture_line", of_line(1), [&](Result<json::object> r) { captured = !r; });
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
    EXPECT_TRUE(run_until(io, [&] { return captured; }));
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, WithoutACoordinatorALineThatHoldsGuestsIsGivenUp) {
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    bridge->link_down();
    EXPECT_TRUE(run_until(
        io, [&] { return everything_runs(); }, std::chrono::seconds(10)));
    EXPECT_TRUE(run_until(io, [&] { return !std::filesystem::exists(line_path(1)); }));
    bridge->link_up();
    EXPECT_FALSE(ask("capture_line", of_line(1)));
    EXPECT_NE(last_error.find("the coordinator is gone"), std::string::npos) << last_error;
}

TEST_F(BridgeTest, AShortBreakOfTheLinkLeavesNoLineInTheWay) {
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    bridge->link_down();
    bridge->link_up();
    EXPECT_TRUE(run_until(io, [&] { return !bridge->part_of({7, 1})->active(); }));
    ASSERT_TRUE(ask("prepare_line", prepare(2))) << last_error;
    ASSERT_TRUE(ask("freeze_line", of_line(2)));
    bridge->link_down();
    bridge->link_up();
    EXPECT_TRUE(run_until(io, [&] { return !bridge->part_of({7, 2})->active(); }));
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, AnAbortTriesAgainWhileAGuestCannotBeLetRun) {
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    driver->faults = {"resume_fails"};
    bool aborted = false;
    run_verb(*bridge, "abort_line", of_line(1), [&](Result<json::object> r) { aborted = !!r; });
    EXPECT_FALSE(run_until(
        io, [&] { return aborted || everything_runs(); }, std::chrono::seconds(1)));
    driver->faults.clear();
    EXPECT_TRUE(run_until(io, [&] { return aborted; }));
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, AGuestDestroyedInALineIsNotLetRunAgain) {
    ASSERT_TRUE(ask("prepare_line", prepare(1)));
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));
    EXPECT_EQ(std::count(driver->calls.begin(), driver->calls.end(), "resume g1"), 0);
    ASSERT_TRUE(ask("abort_line", of_line(1)));
    EXPECT_FALSE(driver->guests.contains("g1"));
}

TEST_F(BridgeTest, AnImageThatIsMissingOrShortKeepsALineFromBeingCommitted) {
    take_line(1);
    const json::object all = manifest(1);
    json::object wrong = all;
    wrong["guests"].as_array()[0].as_object()["stored_bytes"] = 1;
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", wrong}})));
    wrong = all;
    wrong["line"] = 2;
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", wrong}})));
    std::filesystem::remove(line_path(1) + "/g1.img");
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", all}})));
    EXPECT_FALSE(std::filesystem::exists(line_path(1) + "/manifest.json"));
}

TEST_F(BridgeTest, WhatWasNeverCommittedIsSwept) {
    take_line(1);
    ASSERT_TRUE(ask("sweep_lines", {{"active", {{{"job", 7}, {"line", 1}}}}}));
    EXPECT_TRUE(std::filesystem::exists(line_path(1)));
    const auto now = std::filesystem::last_write_time(line_path(1));
    std::filesystem::last_write_time(line_path(1), now + std::chrono::hours(1));
    ASSERT_TRUE(ask("sweep_lines", {{"active", json::array{}}}));
    EXPECT_TRUE(std::filesystem::exists(line_path(1))) << "begun after the sweep was";
    std::filesystem::last_write_time(line_path(1), now - std::chrono::hours(1));
    ASSERT_TRUE(ask("sweep_lines", {{"active", json::array{}}}));
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
}

TEST_F(BridgeTest, ADirectoryThatIsMissingIsNoEmptyOne) {
    EXPECT_TRUE(ask("list_lines", {{"after_job", 0}})) << "no line yet";
    std::filesystem::rename(config.bridge.image_dir, directory.path + "/elsewhere");
    EXPECT_FALSE(ask("list_lines", {{"after_job", 0}}));
    EXPECT_FALSE(ask("sweep_lines", {{"active", json::array{}}}));
}

// ---- the right directory ----

TEST_F(BridgeTest, WithoutTheRightMarkerNothingIsTouched) {
    const LineStore store(config.bridge.image_dir, "test");
    const json::object none = prepare(1);
    EXPECT_EQ(*store.marker(), "");
    json::object ours = none;
    ours["store"] = "ours";
    EXPECT_FALSE(ask("prepare_line", ours));
    EXPECT_NE(last_error.find("no marker"), std::string::npos) << last_error;
    EXPECT_FALSE(std::filesystem::exists(line_path(1)));
    ASSERT_TRUE(store.make_marker("theirs"));
    EXPECT_FALSE(ask("prepare_line", ours));
    EXPECT_NE(last_error.find("another's marker"), std::string::npos) << last_error;
    std::filesystem::remove(config.bridge.image_dir + "/test/store.json");
    ASSERT_TRUE(store.make_marker("ours"));
    ASSERT_TRUE(ask("prepare_line", ours)) << last_error;
    ASSERT_TRUE(ask("freeze_line", of_line(1)));
    ASSERT_TRUE(ask("capture_line", of_line(1)));
    ASSERT_TRUE(ask("resume_line", of_line(1)));
    ASSERT_TRUE(run_until(io, [&] { return durable.size() == 2; }));
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", manifest(1)}, {"store", "theirs"}})));
    EXPECT_FALSE(ask("delete_line", of_line(1, {{"store", "theirs"}})));
    EXPECT_FALSE(ask("sweep_lines", {{"active", json::array{}}, {"store", "theirs"}}));
    EXPECT_FALSE(ask("list_lines", {{"after_job", 0}, {"store", "theirs"}}));
    EXPECT_TRUE(std::filesystem::exists(line_path(1)));
    EXPECT_TRUE(ask("commit_line", of_line(1, {{"manifest", manifest(1)}, {"store", "ours"}})))
        << last_error;
    auto list = ask("list_lines", {{"after_job", 0}, {"store", "ours"}});
    ASSERT_TRUE(list);
    EXPECT_EQ(list->at("manifests").as_array().size(), 1U);
}

TEST_F(BridgeTest, AMarkerIsMadeOnce) {
    const LineStore store(config.bridge.image_dir, "test");
    auto id = store.make_marker("");
    ASSERT_TRUE(id) << id.error().text();
    EXPECT_EQ(id->size(), 32U);
    EXPECT_EQ(*store.make_marker(""), *id);
    EXPECT_EQ(*store.make_marker(*id), *id);
    EXPECT_EQ(store.make_marker("another").error().kind, ErrorKind::refused);
    EXPECT_EQ(*store.marker(), *id);
    // The directory itself is the site's.
    EXPECT_FALSE(LineStore(directory.path + "/nowhere", "test").make_marker(""));
    write_text(config.bridge.image_dir + "/test/store.json", "{");
    EXPECT_FALSE(store.marker());
}

TEST_F(BridgeTest, ADirectoryThatIsMountedLaterIsSaid) {
    bridge->link_up();
    ASSERT_TRUE(run_until(io, [&] { return !said.guests.empty(); }));
    EXPECT_EQ(said.store, "");
    ASSERT_TRUE(LineStore(config.bridge.image_dir, "test").make_marker("ours"));
    EXPECT_TRUE(run_until(io, [&] { return said.store == "ours"; }));
    // And with it stands who is here, for a coordinator that has lost its catalog.
    EXPECT_TRUE(run_until(io, [&] {
        auto list = ask("list_lines", {{"after_job", 0}});
        return list && list->at("hosts").as_array().size() == 1;
    }));
    auto list = ask("list_lines", {{"after_job", 0}});
    EXPECT_EQ(list->at("hosts").at(0).at("host").as_string(), "h1");
    EXPECT_EQ(list->at("hosts").at(0).at("guests").as_array().size(), 2U);
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g2"}}}));
    EXPECT_TRUE(run_until(io, [&] {
        auto list = ask("list_lines", {{"after_job", 0}});
        return list->at("hosts").at(0).at("guests").as_array().size() == 1;
    }));
    bridge->link_down();
}

TEST_F(BridgeTest, AManifestThatCannotBeReadIsNoLineThatIsGone) {
    take_line(1);
    commit(1);
    write_text(line_path(1) + "/manifest.json", "{");
    auto list = ask("list_lines", {{"after_job", 0}});
    ASSERT_TRUE(list);
    EXPECT_EQ(list->at("manifests").as_array().size(), 0U);
    ASSERT_EQ(list->at("there").as_array().size(), 1U);
    EXPECT_EQ(list->at("there").at(0).at("line").to_number<int>(), 1);
}

// ---- a restore ----

TEST_F(BridgeTest, ARestoreBringsTheGuestsBackPausedOrNone) {
    const std::string memory = driver->guests["g1"].memory;
    take_line(1);
    commit(1);
    EXPECT_FALSE(ask("restore_guests", of_line(1, {{"guests", {"g1", "g2"}}}))) << "they are here";
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));

    driver->faults = {"restore_fails g2"};
    EXPECT_FALSE(ask("restore_guests", of_line(1, {{"guests", {"g1", "g2"}}})));
    EXPECT_TRUE(driver->guests.empty()) << "g1 went with it";

    driver->faults.clear();
    ASSERT_TRUE(ask("restore_guests", of_line(1, {{"guests", {"g1", "g2"}}}))) << last_error;
    EXPECT_EQ(driver->guests["g1"].state, GuestState::paused);
    EXPECT_EQ(driver->guests["g1"].memory, memory);
    ASSERT_TRUE(ask("restore_guests", of_line(1, {{"guests", {"g1", "g2"}}}))) << "once more";
    ASSERT_TRUE(ask("resume_guests", {{"guests", {"g1", "g2"}}}));
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, WhatARestoreNeedsIsCheckedWhileTheGuestsRun) {
    auto check = [&](std::uint32_t line, json::array leaving) {
        return ask("check_restore",
                   of_line(line, {{"guests", {"g1", "g2"}}, {"leaving", std::move(leaving)}}));
    };
    take_line(1);
    commit(1);
    auto good = from_json<VerifiedLine>(*check(1, {"g1", "g2"}), "verified");
    ASSERT_EQ(good->guests.size(), 2U);
    EXPECT_TRUE(good->guests[0].good && good->guests[1].good);
    EXPECT_FALSE(check(1, {"g1"})) << "there is no second room for g2";
    EXPECT_NE(last_error.find("no room"), std::string::npos) << last_error;

    std::string bytes = read_text(line_path(1) + "/g2.img");
    bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
    write_text(line_path(1) + "/g2.img", bytes);
    auto bad = from_json<VerifiedLine>(*check(1, {"g1", "g2"}), "verified");
    EXPECT_TRUE(bad->guests[0].good);
    EXPECT_FALSE(bad->guests[1].good);
    EXPECT_NE(bad->guests[1].reason.find("its bytes have changed"), std::string::npos);
    std::filesystem::remove(line_path(1) + "/manifest.json");
    bad = from_json<VerifiedLine>(*check(1, {"g1", "g2"}), "verified");
    EXPECT_FALSE(bad->guests[0].good);

    write_definition(config.bridge.guest_dir, test_definition("g1", 31));
    commit(1);
    EXPECT_FALSE(check(1, {"g1", "g2"})) << "that is the host's fault, not the line's";
    EXPECT_NE(last_error.find("definition on this host differs"), std::string::npos) << last_error;
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, MemoryDoesNotGoOnOverAnotherDisk) {
    driver->disk = directory.path + "/disk";
    write_text(driver->disk, "what the guest has mounted");
    bridge->link_up();
    auto disk_id = [&]() -> std::string {
        const Contents& contents = said.guests.empty() ? Contents() : said.guests[0].contents;
        return contents ? contents->at(1).id : "";
    };
    ASSERT_TRUE(run_until(io, [&] { return !disk_id().empty(); }));
    const std::string before = disk_id();
    EXPECT_EQ(said.guests[0].contents->at(0), (ContentId{"machine", "fake-1.0"}));
    take_line(1);
    commit(1);
    const json::object wanted =
        of_line(1, {{"guests", {"g1", "g2"}}, {"leaving", {"g1", "g2"}}});
    EXPECT_TRUE(ask("check_restore", wanted)) << last_error;

    // Nobody has told the bridge.
    write_text(driver->disk + ".new", "something else, as long");
    std::filesystem::rename(driver->disk + ".new", driver->disk);
    EXPECT_FALSE(ask("check_restore", wanted));
    EXPECT_EQ(last_kind, ErrorKind::refused);
    EXPECT_NE(last_error.find("its disk on this host is another"), std::string::npos)
        << last_error;
    bridge->link_up();
    EXPECT_TRUE(run_until(io, [&] { return disk_id() != before; }));
    std::filesystem::remove(driver->disk);
    EXPECT_FALSE(ask("check_restore", wanted)) << "nor over none";
    EXPECT_TRUE(everything_runs());
}

TEST(FileContentsTest, AnIdentityIsTheBytesAndIsReadOnce) {
    TemporaryDirectory directory;
    FileContents contents;
    const std::string a = directory.path + "/a", b = directory.path + "/b";
    write_text(a, "bytes");
    write_text(b, "bytes");
    EXPECT_EQ(contents.known(a), "");
    EXPECT_EQ(*contents.identify(a), *contents.identify(b));
    EXPECT_EQ(contents.known(a), contents.known(b));
    // As inode, size and time are the same: it is not read again.
    const auto time = std::filesystem::last_write_time(a);
    write_text(a, "BYTES");
    std::filesystem::last_write_time(a, time);
    EXPECT_EQ(*contents.identify(a), *contents.identify(b));
    std::filesystem::last_write_time(a, time + std::chrono::seconds(1));
    EXPECT_NE(*contents.identify(a), *contents.identify(b));
    EXPECT_FALSE(contents.identify(directory.path)) << "no file";
    EXPECT_FALSE(contents.identify(directory.path + "/none"));
}

TEST_F(BridgeTest, GuestsDestroyedInTheMidstOfARestoreAreGone) {
    take_line(1);
    commit(1);
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));
    bool ended = false;
    run_verb(*bridge, "restore_guests", of_line(1, {{"guests", {"g1", "g2"}}}),
             [&](const Result<json::object>&) { ended = true; });
    EXPECT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}})) << last_error;
    EXPECT_TRUE(ended);
    EXPECT_TRUE(driver->guests.empty());
}

TEST_F(BridgeTest, AnImageThatIsNotOnTheSharedStorageIsNoLine) {
    take_line(1);
    std::filesystem::remove(line_path(1) + "/g2.img");
    EXPECT_FALSE(ask("commit_line", of_line(1, {{"manifest", manifest(1)}})));
    EXPECT_NE(last_error.find("the same storage on all hosts"), std::string::npos) << last_error;
    EXPECT_FALSE(ask("verify_line", of_line(1)));
}

TEST_F(BridgeTest, AGuestWhoseDefinitionChangedIsNotRestored) {
    take_line(1);
    commit(1);
    ASSERT_TRUE(ask("destroy_guests", {{"guests", {"g1", "g2"}}}));
    write_definition(config.bridge.guest_dir, test_definition("g1", 31));
    EXPECT_FALSE(ask("restore_guests", of_line(1, {{"guests", {"g1"}}})));
    EXPECT_NE(last_error.find("definition on this host differs"), std::string::npos) << last_error;
    EXPECT_FALSE(ask("restore_guests", of_line(1, {{"guests", {"g3"}}}))) << "not in the line";
    EXPECT_FALSE(ask("restore_guests", of_line(2, {{"guests", {"g2"}}}))) << "no such line";
}

// ---- adapters ----

TEST_F(BridgeTest, AdaptersAreOutWhileAGuestStandsStill) {
    driver->guests["g1"].definition.adapters = 1;
    ASSERT_TRUE(ask("prepare_line", prepare(1, "auto"))) << last_error;
    driver->calls.clear();
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    EXPECT_EQ(driver->calls, std::vector<std::string>{"detach g1"});
    Result<json::object> reply = ask("capture_line", of_line(1));
    ASSERT_TRUE(reply) << last_error;
    const auto captured = from_json<CapturedLine>(*reply, "captured");
    for (const auto& guest : captured->guests) {
        const bool has_some = guest.guest == "g1";
        EXPECT_EQ(guest.method, has_some ? CaptureMethod::stop_copy : CaptureMethod::background);
        EXPECT_EQ(guest.note.find("it has adapters") != std::string::npos, has_some) << guest.note;
    }
    driver->calls.clear();
    ASSERT_TRUE(ask("resume_line", of_line(1))) << last_error;
    EXPECT_EQ(std::ranges::count(driver->calls, "attach g1"), 1);
    EXPECT_EQ(std::ranges::count(driver->calls, "attach g2"), 0);
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, AHoldWithoutImagesLeavesTheAdapters) {
    driver->guests["g1"].definition.adapters = 1;
    ASSERT_TRUE(ask("prepare_line", prepare(1, kNoCapture))) << last_error;
    driver->calls.clear();
    ASSERT_TRUE(ask("freeze_line", freeze(1, 10))) << last_error;
    EXPECT_TRUE(driver->calls.empty());
}

TEST_F(BridgeTest, AGuestThatKeepsItsAdapterIsNotCaptured) {
    driver->guests["g1"].definition.adapters = 1;
    driver->faults = {"detach_fails"};
    ASSERT_TRUE(ask("prepare_line", prepare(1))) << last_error;
    EXPECT_FALSE(ask("freeze_line", of_line(1)));
    driver->calls.clear();
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
    EXPECT_EQ(std::ranges::count(driver->calls, "attach g1"), 1) << "some of them may be out";
    EXPECT_TRUE(everything_runs());
}

TEST_F(BridgeTest, AnAdapterThatDoesNotComeBackIsTold) {
    driver->guests["g1"].definition.adapters = 1;
    ASSERT_TRUE(ask("prepare_line", prepare(1))) << last_error;
    ASSERT_TRUE(ask("freeze_line", of_line(1))) << last_error;
    ASSERT_TRUE(ask("capture_line", of_line(1))) << last_error;
    driver->faults = {"attach_fails"};
    EXPECT_FALSE(ask("resume_line", of_line(1)));
    EXPECT_NE(last_error.find("attaching"), std::string::npos) << last_error;
    ASSERT_TRUE(ask("abort_line", of_line(1))) << last_error;
    EXPECT_TRUE(everything_runs());
}

// ---- QEMU's command line ----

TEST(QemuCommandTest, AdaptersComeLastAndNotBeforeAnIncomingState) {
    const GuestDefinition d = test_definition("g1");
    const QemuPaths paths("/run/grl", "g1");
    const auto boots = qemu_command(d, {}, paths, {"0000:3b:02.1"}, false);
    const auto is_device = [](const std::string& word) { return word == "-device"; };
    const auto last = std::find_if(boots.rbegin(), boots.rend(), is_device);
    ASSERT_NE(last, boots.rend());
    EXPECT_EQ(*std::prev(last), "vfio-pci,host=0000:3b:02.1,id=adapter-0000.3b.02.1");
    const auto waits = qemu_command(d, {}, paths, {"0000:3b:02.1"}, true);
    EXPECT_TRUE(std::ranges::none_of(
        waits, [](const std::string& word) { return word.starts_with("vfio-pci"); }));
}

TEST(QemuCommandTest, ACommaInAPathStartsNoOption) {
    QemuSection section;
    section.disk = "/images/root,readonly=off";
    const GuestDefinition d = test_definition("g1");
    const auto words = qemu_command(d, section, QemuPaths("/run/grl", "g1"), {}, true);
    const std::string all = [&] {
        std::string s;
        for (const auto& w : words) s += w + " ";
        return s;
    }();
    EXPECT_NE(all.find("file=/images/root,,readonly=off,format=raw"), std::string::npos) << all;
    EXPECT_NE(all.find("-S -incoming defer"), std::string::npos);
    EXPECT_TRUE(is_qemu_of(words, QemuPaths("/run/grl", "g1")));
    EXPECT_FALSE(is_qemu_of(words, QemuPaths("/run/grl", "g2")));
    EXPECT_FALSE(is_qemu_of({"sleep", "-pidfile", "/run/grl/g1.pid"}, QemuPaths("/run/grl", "g1")));
}

}  // namespace
}  // namespace grl::bridge
