// Drives the Xen driver by hand, in a dom0: xen_acts RUN_DIR GUEST.toml ACT...
//
//     list   start   destroy   prepare   freeze   resume   cancel   wait=SECONDS
//     capture=FILE   restore=FILE   send=HOST:PORT   receive=PORT
//
// Acts are done one after the other, each with a line that says how long it took and what came of
// it; `try:ACT` goes on although it fails. Streams are files as they come, neither packed nor
// checked.
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdio>
#include <cstring>
#include <optional>
#include <thread>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/base/stream_pump.h"
#include "vmm_bridge/drivers.h"

namespace {

using grl::Done;
using grl::Fd;
using grl::Result;
using grl::bridge::Callback;
using grl::bridge::Driver;
namespace asio = boost::asio;

struct Acts {
    asio::io_context& io;
    Driver& driver;
    grl::bridge::GuestDefinition guest;

    template <class T>
    Result<T> await(const std::function<void(Callback<T>)>& start) {
        auto outcome = std::make_shared<std::optional<Result<T>>>();
        start([outcome](Result<T> result) { *outcome = std::move(result); });
        while (!*outcome) {
            io.restart();
            io.run_one();
        }
        return **outcome;
    }

    Result<Done> list() {
        for (const auto& view : driver.list()) {
            std::printf("  %s is %s\n", view.definition.name.c_str(),
                        grl::name_of(view.state).c_str());
        }
        return Done{};
    }
    Result<Done> wait(double seconds) {
        asio::steady_timer timer(io, std::chrono::milliseconds(static_cast<int>(seconds * 1000)));
        return await<Done>([&](Callback<Done> done) {
            timer.async_wait([done](boost::system::error_code) { done(Done{}); });
        });
    }
    Result<Done> freeze() {
        auto at = await<std::int64_t>([&](auto done) { driver.freeze(guest.name, done); });
        if (!at) return at.error();
        return Done{};
    }

    static std::uint64_t copy(int from, int to) {
        std::vector<char> buffer(1U << 20);
        std::uint64_t all = 0;
        for (ssize_t n = 0; (n = read(from, buffer.data(), buffer.size())) > 0;) {
            for (ssize_t at = 0; at < n;) {
                const ssize_t w = write(to, buffer.data() + at, static_cast<std::size_t>(n - at));
                if (w <= 0) return all;
                at += w;
            }
            all += static_cast<std::uint64_t>(n);
        }
        return all;
    }

    Result<Done> capture(const std::string& path) {
        auto pair = grl::bridge::open_stream_pair();
        Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
        if (!pair || !file) return grl::fail("opening", path, grl::errno_text(errno));
        std::uint64_t bytes = 0;
        std::thread reader([&] {
            bytes = copy(pair->bridge.get(), file.get());
            pair->bridge.reset();  // if the file is full, the save must not wait for ever
        });
        auto captured = await<Done>([&](Callback<Done> done) {
            driver.capture(
                guest.name, grl::CaptureMethod::stop_copy, std::move(pair->vmm),
                [](Result<std::int64_t>) {}, done);
        });
        reader.join();
        std::printf("  %llu bytes\n", static_cast<unsigned long long>(bytes));
        return captured;
    }
    Result<Done> restore(const std::string& path) {
        auto pair = grl::bridge::open_stream_pair();
        Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!pair || !file) return grl::fail("opening", path, grl::errno_text(errno));
        std::thread writer([&] {
            copy(file.get(), pair->bridge.get());
            pair->bridge.reset();
        });
        auto restored = await<Done>(
            [&](Callback<Done> done) { driver.restore(guest, std::move(pair->vmm), done); });
        writer.join();
        return restored;
    }

    // As the bridge does it: held back from the end of the first pass until it is told to converge.
    Result<Done> send(const std::string& where) {
        const std::size_t colon = where.find(':');
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* found = nullptr;
        if (getaddrinfo(where.substr(0, colon).c_str(), where.substr(colon + 1).c_str(), &hints,
                        &found) != 0) {
            return grl::fail("sending", where, "no such address");
        }
        Fd network(socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int joined = connect(network.get(), found->ai_addr, found->ai_addrlen);
        freeaddrinfo(found);
        auto pair = grl::bridge::open_stream_pair();
        if (joined != 0 || !pair) return grl::fail("sending", where, grl::errno_text(errno));
        const std::int64_t began = grl::bridge::monotonic_ms();
        auto tell = [began](const char* what) {
            std::printf("  %s after %lld ms\n", what,
                        static_cast<long long>(grl::bridge::monotonic_ms() - began));
        };
        auto pumped = std::make_shared<std::optional<Result<Done>>>();
        auto pump = std::make_shared<grl::bridge::StreamPump>(
            io, std::move(pair->bridge), std::move(network),
            [pumped](Result<Done> r) { *pumped = std::move(r); });
        Fd narrowing(fcntl(pair->vmm.get(), F_DUPFD_CLOEXEC, 0));
        pump->start();
        asio::steady_timer silence(io);
        auto sent = await<std::int64_t>([&](Callback<std::int64_t> done) {
            driver.migrate_out(guest.name, std::move(pair->vmm), 0,
                               {[&] {
                                    tell("copied");
                                    grl::bridge::narrow(narrowing);
                                    narrowing.reset();
                                    pump->hold();
                                    silence.expires_after(std::chrono::milliseconds(500));
                                    silence.async_wait([&](boost::system::error_code) {
                                        tell("converging");
                                        driver.converge(guest.name, [](Result<Done>) {});
                                        pump->go_on();
                                    });
                                },
                                [&] {
                                    tell("stopped");
                                    narrowing.reset();
                                    pump->go_on();
                                },
                                done});
        });
        narrowing.reset();
        pump->go_on();
        tell("sent");
        if (!sent) {
            pump->close();
            return sent.error();
        }
        while (!*pumped) {
            io.restart();
            io.run_one();
        }
        std::printf("  %llu bytes\n", static_cast<unsigned long long>(pump->bytes()));
        return **pumped;
    }
    Result<Done> receive(const std::string& port) {
        Fd listening(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        const int on = 1;
        setsockopt(listening.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in name{};
        name.sin_family = AF_INET;
        name.sin_port = htons(static_cast<std::uint16_t>(std::stoi(port)));
        if (bind(listening.get(), reinterpret_cast<sockaddr*>(&name), sizeof name) != 0 ||
            listen(listening.get(), 1) != 0) {
            return grl::fail("receiving", port, grl::errno_text(errno));
        }
        Fd network(accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        return await<Done>(
            [&](Callback<Done> done) { driver.migrate_in(guest, std::move(network), done); });
    }

    Result<Done> run(const std::string& word, const std::string& value) {
        using Plain = void (Driver::*)(const std::string&, Callback<Done>);
        auto plain = [&](Plain act) {
            return await<Done>([&](Callback<Done> done) { (driver.*act)(guest.name, done); });
        };
        if (word == "list") return list();
        if (word == "start") {
            return await<Done>([&](Callback<Done> done) { driver.start(guest, done); });
        }
        if (word == "prepare") {
            return await<Done>([&](Callback<Done> done) {
                driver.prepare(guest.name, grl::CaptureMethod::stop_copy, done);
            });
        }
        if (word == "destroy") return plain(&Driver::destroy);
        if (word == "resume") return plain(&Driver::resume);
        if (word == "cancel") return plain(&Driver::cancel);
        if (word == "freeze") return freeze();
        if (word == "wait") return wait(std::stod(value));
        if (word == "capture") return capture(value);
        if (word == "restore") return restore(value);
        if (word == "send") return send(value);
        if (word == "receive") return receive(value);
        return grl::fail("reading the acts", "", "there is no " + word, grl::ErrorKind::usage);
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fputs("xen_acts RUN_DIR GUEST.toml ACT...\n", stderr);
        return 2;
    }
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    signal(SIGPIPE, SIG_IGN);
    grl::log_start("xen_acts", getenv("XEN_DEBUG") ? grl::LogLevel::debug : grl::LogLevel::info);
    auto definition = grl::bridge::load_guest_definition(argv[2], grl::bridge::complete_sections);
    if (!definition) {
        grl::log_error(definition.error().text());
        return 2;
    }
    asio::io_context io(1);
    grl::bridge::BridgeSection config;
    config.driver = "xen";
    config.run_dir = argv[1];
    auto driver = grl::bridge::make_driver(io, config);
    Acts acts{io, *driver, *definition};
    auto opened = acts.await<Done>([&](Callback<Done> done) {
        driver->open({[] {},
                      [](const std::string& guest, const std::string& reason) {
                          std::printf("  %s has died: %s\n", guest.c_str(), reason.c_str());
                      }},
                     done);
    });
    if (!opened) {
        grl::log_error(opened.error().text());
        _exit(static_cast<int>(opened.error().kind));
    }
    std::printf("%s\n", driver->version().c_str());
    for (int i = 3; i < argc; ++i) {
        std::string word = argv[i];
        const bool may_fail = word.starts_with("try:");
        if (may_fail) word.erase(0, std::strlen("try:"));
        const std::size_t equals = word.find('=');
        const std::int64_t began = grl::bridge::monotonic_ms();
        Result<Done> done =
            acts.run(word.substr(0, equals),
                     equals == std::string::npos ? std::string() : word.substr(equals + 1));
        std::printf("%s: %lld ms%s%s\n", word.c_str(),
                    static_cast<long long>(grl::bridge::monotonic_ms() - began), done ? "" : ", ",
                    done ? "" : done.error().text().c_str());
        if (!done && !may_fail) _exit(static_cast<int>(done.error().kind));
    }
    _exit(0);
}
