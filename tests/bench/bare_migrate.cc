// The baseline of `tests/lab bench migrate`: QEMU's own live migration of one guest, with QEMU's
// own settings and nothing of ours between. Run on the target host; neither host's bridge runs.
//
//     bare_migrate [--second-look] GUEST SOURCE_RUN_DIR TARGET_RUN_DIR
//
// Under TCG one look at what the guest writes is taken, and it is taken while the guest stands
// still: the only sound way there, as QEMU 7.2 loses stores that it collects from a running guest
// (vmm_bridge/qemu/migration.h). --second-look: QEMU's usual way, which may kill the guest.
//
// Prints {"total_ms": …, "bytes": …}. The source's QEMU is gone then, and the target's bridge can
// take the guest over.
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <iostream>

#include "grl/messages/masters.h"
#include "vmm_bridge/host/process.h"
#include "vmm_bridge/host/tap.h"
#include "vmm_bridge/qemu/command.h"
#include "vmm_bridge/qemu/qmp.h"

namespace grl::bridge {
namespace {

constexpr Milliseconds kLimit{60'000};

struct Session {
    asio::io_context io;

    [[noreturn]] static void die(const std::string& why) {
        std::cerr << "bare_migrate: " << why << '\n';
        std::exit(1);
    }
    // Starts something and waits for what it calls back with.
    template <class T, class Start>
    T wait(Start start) {
        std::optional<Result<T>> outcome;
        start([&](Result<T> r) { outcome = std::move(r); });
        io.restart();
        while (!outcome && io.run_one_for(kLimit) > 0) {
        }
        if (!outcome) die("no answer in time");
        if (!*outcome) die(outcome->error().text());
        return std::move(**outcome);
    }
    json::value execute(const std::shared_ptr<Qmp>& qmp, const std::string& command,
                        const json::object& arguments = {}) {
        return wait<json::value>(
            [&](auto done) { qmp->execute(command, arguments, kLimit, done); });
    }
    std::shared_ptr<Qmp> connect(const QemuPaths& paths) {
        return wait<std::shared_ptr<Qmp>>(
            [&](auto done) { Qmp::connect(io, paths.monitor(), kLimit, done); });
    }
};

GuestDefinition definition_of(const QemuPaths& paths) {
    Result<std::string> text = read_file(paths.definition());
    if (!text) Session::die(text.error().text());
    auto definition = from_json<GuestDefinition>(json::parse(*text), "a guest's definition");
    if (!definition) Session::die(definition.error().text());
    return *definition;
}

bool running(Session& session, const std::shared_ptr<Qmp>& qmp) {
    return text_in(session.execute(qmp, "query-status"), "status") == "running";
}

void pause(Session& session) {
    asio::steady_timer timer(session.io, Milliseconds(5));
    session.wait<bool>([&](auto done) {
        timer.async_wait([done](boost::system::error_code) { done(true); });
    });
}

// Bytes sent, when all is over. `one_look`: the guest is stopped for good when little is left.
std::int64_t await_end(Session& session, const std::shared_ptr<Qmp>& qmp, bool one_look) {
    constexpr std::int64_t kLittle = 8 << 20;
    bool told = !one_look;
    while (true) {
        const json::value now = session.execute(qmp, "query-migrate");
        const std::string status = text_in(now, "status");
        if (status == "failed" || status == "cancelled") {
            Session::die("the migration has " + status);
        }
        if (status == "completed") return now.at("ram").at("transferred").to_number<std::int64_t>();
        if (!told && status == "active" &&
            now.at("ram").at("remaining").to_number<std::int64_t>() < kLittle) {
            session.execute(qmp, "stop");
            told = true;
        }
        pause(session);
    }
}

int migrate(const std::string& guest, const std::string& from, const std::string& to,
            bool second_look) {
    Session session;
    const QemuPaths source(from, guest), target(to, guest);
    const GuestDefinition definition = definition_of(source);
    const auto section = qemu_section(definition);
    if (!section) Session::die(section.error().text());
    for (std::size_t i = 0; i < section->nics.size(); ++i) {
        const Nic& nic = section->nics[i];
        Result<void> made = make_tap(tap_name(guest, i), nic.bridge, nic.mac);
        if (!made) Session::die(made.error().text());
    }
    std::vector<std::string> words = qemu_command(definition, *section, target, {}, false);
    const std::string uri = "unix:" + target.base + ".stream";
    words.insert(words.end(), {"-incoming", uri});
    unlink((target.base + ".stream").c_str());
    const Output started =
        session.wait<Output>([&](auto done) { run_program(session.io, words, kLimit, done); });
    if (started.status != 0) Session::die(started.text);
    Result<void> left = replace_file(target.definition(), json::serialize(to_json(definition)));
    if (!left) Session::die(left.error().text());

    const auto qmp = session.connect(source);
    const bool one_look = definition.qemu.accel == "tcg" && !second_look;
    // Ours may have left its own behind. At first so slow that it is not over before it runs again.
    const json::object fast{{"max-bandwidth", 1LL << 40}, {"downtime-limit", one_look ? 0 : 300}};
    json::object begin = fast;
    if (one_look) begin["max-bandwidth"] = 4096;
    session.execute(qmp, "migrate-set-parameters", begin);
    const auto began = std::chrono::steady_clock::now();
    if (one_look) session.execute(qmp, "stop");
    session.execute(qmp, "migrate", {{"uri", uri}});
    if (one_look) {
        while (session.execute(qmp, "query-migrate").as_object().count("ram") == 0) pause(session);
        session.execute(qmp, "cont");
        session.execute(qmp, "migrate-set-parameters", fast);
    }
    const std::int64_t bytes = await_end(session, qmp, one_look);
    // What was stopped when its last byte went is stopped there, too.
    const auto there = session.connect(target);
    if (!running(session, there)) session.execute(there, "cont");
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began).count();
    qmp->execute("quit", {}, kLimit, [](Result<json::value>) {});
    session.io.restart();
    session.io.run_for(Milliseconds(200));
    for (const std::string& path : {source.pid(), source.monitor(), source.definition()}) {
        unlink(path.c_str());
    }
    std::cout << "{\"total_ms\": " << ms << ", \"bytes\": " << bytes << "}\n";
    return 0;
}

}  // namespace
}  // namespace grl::bridge

int main(int argc, char** argv) {
    const bool second_look = argc == 5 && std::string(argv[1]) == "--second-look";
    if (argc != 4 && !second_look)
        grl::bridge::Session::die("[--second-look] GUEST SOURCE_RUN_DIR TARGET_RUN_DIR are wanted");
    char** const words = argv + (second_look ? 1 : 0);
    return grl::bridge::migrate(words[1], words[2], words[3], second_look);
}
