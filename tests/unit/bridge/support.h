// What the tests of vmm_bridge share: a directory that goes away, an event loop with a limit, and a
// VMM that exists in memory only and fails when it is told to.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "grl/base/file.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/host/definitions.h"

namespace grl::bridge {

namespace asio = boost::asio;

class TemporaryDirectory {
  public:
    TemporaryDirectory() {
        std::string name = std::filesystem::temp_directory_path() / "grl-test-XXXXXX";
        path = mkdtemp(name.data());
    }
    ~TemporaryDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string path;
};

// Runs the loop until `ready`, at most so long; whether it became ready.
template <class Ready>
bool run_until(asio::io_context& io, Ready ready,
               std::chrono::seconds limit = std::chrono::seconds(60)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!ready() && std::chrono::steady_clock::now() < end) {
        io.restart();
        io.run_one_for(std::chrono::milliseconds(50));
    }
    return ready();
}

// Starts an asynchronous act and waits for its outcome.
template <class T, class Start>
Result<T> wait_for(asio::io_context& io, Start start) {
    auto outcome = std::make_shared<std::optional<Result<T>>>();
    start([outcome](Result<T> result) { *outcome = std::move(result); });
    if (!run_until(io, [&] { return outcome->has_value(); })) {
        return fail("a test's act", "", "it never called back");
    }
    return **outcome;
}

inline void write_text(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_text(const std::string& path) {
    Result<std::string> text = read_file(path, 1U << 30);
    return text ? *text : std::string();
}

inline GuestDefinition test_definition(const std::string& name, std::uint64_t memory_mib = 32) {
    GuestDefinition d;
    d.name = name;
    d.address = "10.0.0.1";
    d.memory_mib = memory_mib;
    EXPECT_TRUE(complete_sections(d));
    return d;
}

inline void write_definition(const std::string& directory, const GuestDefinition& d) {
    std::filesystem::create_directories(directory);
    write_text(directory + "/" + d.name + ".toml",
               "name = \"" + d.name + "\"\naddress = \"" + d.address +
                   "\"\nmemory_mib = " + std::to_string(d.memory_mib) + "\n");
}

// Keeps the contract of driver.h; a guest's state is a text.
class FakeDriver : public Driver {
  public:
    explicit FakeDriver(asio::io_context& io) : io_(io) {}

    struct Guest {
        GuestDefinition definition;
        GuestState state = GuestState::running;
        std::string memory;
        Callback<Done> stuck;  // a capture that waits to be cancelled
        MigrateOut leaving;
        Fd stream;  // of a move
        int arrival = 0;
    };
    std::map<std::string, Guest> guests;
    std::set<std::string>
        faults;  // no_background, no_live, background_fails, capture_fails,
                 // capture_hangs, resume_fails, stops_early, sending_fails,
                 // detach_fails, attach_fails, sending_ends_late: stopped, and then nothing
    std::vector<std::string> calls;
    std::string disk;  // of every guest; empty: they have none
    Events events;

    std::string name() const override { return "qemu"; }
    std::string version() const override { return "FAKE 1"; }
    std::vector<GuestPart> parts_of(const GuestDefinition&) const override {
        if (disk.empty()) return {};
        return {{"machine", {}, "fake-1.0"}, {"disk", disk}};
    }
    void open(Events e, Callback<Done> done) override {
        events = std::move(e);
        later(done, Done{});
    }
    std::vector<GuestView> list() const override {
        std::vector<GuestView> views;
        for (const auto& [name, g] : guests) {
            views.push_back({g.definition, definition_digest(g.definition), g.state, 1U << 20});
        }
        return views;
    }
    void start(const GuestDefinition& d, Callback<Done> done) override {
        guests[d.name] = {d, GuestState::running, "memory of " + d.name, {}, {}, {}, 0};
        later(done, Done{});
    }
    void destroy(const std::string& guest, Callback<Done> done) override {
        calls.push_back("destroy " + guest);
        guests.erase(guest);
        later(done, Done{});
    }
    void prepare(const std::string& guest, CaptureMethod method, Callback<Done> done) override {
        calls.push_back("prepare " + guest + " " + name_of(method));
        if (method == CaptureMethod::background && faults.contains("no_background")) {
            return later<Done>(done, fail("preparing", "", "no userfaultfd", ErrorKind::refused));
        }
        if (method == CaptureMethod::live && faults.contains("no_live")) {
            return later<Done>(done, fail("preparing", "", "no log-dirty", ErrorKind::refused));
        }
        later(done, Done{});
    }
    void detach_devices(const std::string& guest, Callback<Done> done) override {
        if (guests[guest].definition.adapters > 0)
            change_devices("detach", guest, done);
        else
            later(done, Done{});
    }
    void attach_devices(const std::string& guest, Callback<Done> done) override {
        if (guests[guest].definition.adapters > 0)
            change_devices("attach", guest, done);
        else
            later(done, Done{});
    }
    void change_devices(const std::string& act, const std::string& guest, Callback<Done> done) {
        calls.push_back(act + " " + guest);
        EXPECT_EQ(guests[guest].state, GuestState::running);
        if (!faults.contains(act + "_fails")) return later(done, Done{});
        later<Done>(done, fail(act + "ing", "", "the fake VMM fails"));
    }
    void freeze(const std::string& guest, Callback<std::int64_t> done) override {
        guests[guest].state = GuestState::paused;
        later(done, now_ns());
    }
    void capture(const std::string& guest, CaptureMethod method, Fd stream,
                 Callback<std::int64_t> captured, Callback<Done> finished) override {
        calls.push_back("capture " + guest + " " + name_of(method));
        EXPECT_EQ(guests[guest].state, GuestState::paused);
        const bool background = method == CaptureMethod::background;
        if ((background && faults.contains("background_fails")) ||
            faults.contains("capture_fails")) {
            const Error e = fail("capturing", "", "the fake VMM fails");
            later<std::int64_t>(captured, e);
            return later<Done>(finished, e);
        }
        if (faults.contains("capture_hangs")) {
            guests[guest].stuck = [captured, finished](Result<Done> r) {
                captured(r.error());
                finished(r.error());
            };
            return;
        }
        const std::string memory = guests[guest].memory;
        send(stream.get(), memory.data(), memory.size(), MSG_NOSIGNAL);
        if (background) guests[guest].state = GuestState::running;
        later(captured, now_ns());
        later(finished, Done{});
    }
    void resume(const std::string& guest, Callback<Done> done) override {
        calls.push_back("resume " + guest);
        if (faults.contains("resume_fails")) {
            return later<Done>(done, fail("resuming", "", "the fake VMM fails"));
        }
        guests[guest].state = GuestState::running;
        later(done, Done{});
    }
    void cancel(const std::string& guest, Callback<Done> done) override {
        calls.push_back("cancel " + guest);
        if (auto stuck = std::exchange(guests[guest].stuck, nullptr))
            stuck(fail("", "", "cancelled"));
        fail_sending(guest, "cancelled");
        later(done, Done{});
    }
    void restore(const GuestDefinition& d, Fd stream, Callback<Done> done) override {
        std::thread([this, d, fd = stream.release(), done] {
            Fd in(fd);
            std::string memory;
            char buffer[4096];
            for (ssize_t n; (n = read(in.get(), buffer, sizeof buffer)) > 0;) {
                memory.append(buffer, static_cast<std::size_t>(n));
            }
            asio::post(io_, [this, d, memory, done] {
                if (faults.contains("restore_fails " + d.name)) {
                    return done(fail("restoring", "", "the fake VMM fails"));
                }
                guests[d.name] = {d, GuestState::paused, memory, {}, {}, {}, 0};
                done(Done{});
            });
        }).detach();
    }

    void migrate_out(const std::string& guest, Fd stream, std::uint64_t,
                     MigrateOut events) override {
        calls.push_back("migrate_out " + guest);
        Guest& g = guests[guest];
        g.leaving = std::move(events);
        g.stream = std::move(stream);
        if (faults.contains("sending_fails")) return fail_sending(guest, "the fake VMM fails");
        send(g.stream.get(), g.memory.data(), g.memory.size() / 2, MSG_NOSIGNAL);
        asio::post(io_, [this, guest] {
            if (faults.contains("stops_early")) {
                guests[guest].leaving.stopped();
                send_rest(guest);
            } else if (guests[guest].leaving.copied) {
                guests[guest].leaving.copied();
            }
        });
    }
    void converge(const std::string& guest, Callback<Done> done) override {
        calls.push_back("converge " + guest);
        later(done, Done{});
        asio::post(io_, [this, guest] {
            if (!faults.contains("sending_ends_late")) return send_rest(guest);
            guests[guest].state = GuestState::paused;
            guests[guest].leaving.stopped();
        });
    }
    void ask_migration(const std::string&, Callback<MigrationFacts> done) override {
        later(done, MigrationFacts{4096, 8192, 2});
    }
    void migrate_in(const GuestDefinition& d, Fd stream, Callback<Done> done) override {
        guests[d.name] = {d, GuestState::arriving, {}, {}, {}, {}, 0};
        const int which = guests[d.name].arrival = ++arrivals_;
        std::thread([this, d, which, fd = stream.release(), done] {
            Fd in(fd);
            std::string memory;
            char buffer[4096];
            for (ssize_t n; (n = read(in.get(), buffer, sizeof buffer)) > 0;) {
                memory.append(buffer, static_cast<std::size_t>(n));
            }
            asio::post(io_, [this, d, which, memory, done] {
                if (!guests.contains(d.name) || guests[d.name].arrival != which) {
                    return done(fail("receiving", "", "destroyed"));
                }
                if (!memory.ends_with(".")) {
                    guests.erase(d.name);
                    return done(fail("receiving", "", "its stream is torn"));
                }
                guests[d.name].memory = memory.substr(0, memory.size() - 1);
                guests[d.name].state = GuestState::arrived;
                done(Done{});
            });
        }).detach();
    }

  private:
    void send_rest(const std::string& guest) {
        Guest& g = guests[guest];
        if (!g.leaving.finished) return;
        const std::string rest = g.memory.substr(g.memory.size() / 2) + ".";
        send(g.stream.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        g.stream.reset();
        g.state = g.leaving.stays ? GuestState::paused : GuestState::moved;
        std::exchange(g.leaving, {}).finished(now_ns());
    }
    void fail_sending(const std::string& guest, const std::string& why) {
        guests[guest].stream.reset();
        auto leaving = std::exchange(guests[guest].leaving, {});
        if (!leaving.finished) return;
        later<std::int64_t>(leaving.finished, fail("sending", "", why));
    }

    template <class T>
    void later(Callback<T> done, std::type_identity_t<Result<T>> result) {
        asio::post(io_, [done = std::move(done), result = std::move(result)] { done(result); });
    }
    asio::io_context& io_;
    int arrivals_ = 0;
};

}  // namespace grl::bridge
