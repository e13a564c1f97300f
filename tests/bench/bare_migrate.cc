// The baseline of `tests/lab bench migrate`: QEMU's own live migration of one guest, with QEMU's
// own settings and nothing of ours between. Run on the target host; neither host's bridge runs.
//
//     bare_migrate GUEST SOURCE_RUN_DIR TARGET_RUN_DIR
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

int migrate(const std::string& guest, const std::string& from, const std::string& to) {
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
    // Ours may have left its own behind.
    session.execute(qmp, "migrate-set-parameters",
                    {{"max-bandwidth", 1LL << 40}, {"downtime-limit", 300}});
    const auto began = std::chrono::steady_clock::now();
    session.execute(qmp, "migrate", {{"uri", uri}});
    std::int64_t bytes = 0;
    for (std::string status; status != "completed";) {
        const json::value now = session.execute(qmp, "query-migrate");
        status = text_in(now, "status");
        if (status == "failed" || status == "cancelled")
            Session::die("the migration has " + status);
        if (status == "completed")
            bytes = now.at("ram").at("transferred").to_number<std::int64_t>();
        asio::steady_timer pause(session.io, Milliseconds(5));
        session.wait<bool>([&](auto done) {
            pause.async_wait([done](boost::system::error_code) { done(true); });
        });
    }
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
    if (argc != 4) grl::bridge::Session::die("GUEST SOURCE_RUN_DIR TARGET_RUN_DIR are wanted");
    return grl::bridge::migrate(argv[1], argv[2], argv[3]);
}
