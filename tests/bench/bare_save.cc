// The baseline of `tests/lab bench line`: QEMU's own stop-and-copy of several guests at once, with
// nothing of ours between. Stops all, saves each by `migrate exec:cat`, lets all go on.
//
//     bare_save ROUNDS DIRECTORY MONITOR...
//
// Prints one JSON object a round: ms from the first stop to the last guest's going on, bytes.
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "vmm_bridge/qemu/qmp.h"

namespace grl::bridge {
namespace {

constexpr Milliseconds kLimit{60'000};
using Monitors = std::vector<std::shared_ptr<Qmp>>;

// Runs the loop until `done` says so; what fails ends the program with a line.
struct Loop {
    asio::io_context io;
    bool over = false;

    void until_done() {
        over = false;
        io.restart();
        while (!over && io.run_one_for(kLimit) > 0) {
        }
        if (!over) die("no answer in time");
    }
    [[noreturn]] static void die(const std::string& why) {
        std::cerr << "bare_save: " << why << '\n';
        std::exit(1);
    }
};

void all(Loop& loop, const Monitors& monitors, const std::string& command,
         const std::function<json::object(std::size_t)>& arguments = {}) {
    std::vector<std::size_t> index(monitors.size());
    for (std::size_t i = 0; i < index.size(); ++i) index[i] = i;
    gather<json::value>(
        index,
        [&](std::size_t i, Callback<json::value> done) {
            monitors[i]->execute(command, arguments ? arguments(i) : json::object{}, kLimit,
                                 std::move(done));
        },
        [&](Result<std::vector<json::value>> r) {
            if (!r) Loop::die(r.error().text());
            loop.over = true;
        });
    loop.until_done();
}

// QEMU says completed a moment before it takes a cont.
void cont(Loop& loop, const std::shared_ptr<Qmp>& monitor) {
    bool runs = false;
    while (!runs) {
        monitor->execute("cont", {}, kLimit, [&](Result<json::value> r) {
            runs = r.has_value();
            loop.over = true;
        });
        loop.until_done();
    }
}

double ms_since(std::chrono::steady_clock::time_point start) {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
        .count();
}

void round(Loop& loop, const Monitors& monitors, const std::string& directory) {
    auto image = [&](std::size_t i) { return directory + "/bare" + std::to_string(i); };
    std::size_t saved = 0;
    for (const auto& monitor : monitors) {
        Qmp::Handlers handlers;
        handlers.event = [&](const QmpEvent& e) {
            const std::string status = e.name == "MIGRATION" ? text_in(e.data, "status") : "";
            if (status == "failed") Loop::die("a save failed");
            if (status == "completed" && ++saved == monitors.size()) loop.over = true;
        };
        handlers.closed = [](const Error& why) { Loop::die(why.text()); };
        monitor->set_handlers(handlers);
    }
    const auto start = std::chrono::steady_clock::now();
    all(loop, monitors, "stop");
    all(loop, monitors, "migrate",
        [&](std::size_t i) { return json::object{{"uri", "exec:cat > " + image(i)}}; });
    if (saved < monitors.size()) loop.until_done();
    for (const auto& monitor : monitors) cont(loop, monitor);
    const double pause = ms_since(start);
    std::uintmax_t bytes = 0;
    for (std::size_t i = 0; i < monitors.size(); ++i) {
        bytes += std::filesystem::file_size(image(i));
        std::filesystem::remove(image(i));
    }
    std::cout << json::object{{"pause_ms", pause}, {"bytes", bytes}} << std::endl;
}

}  // namespace
}  // namespace grl::bridge

int main(int argc, char** argv) {
    using namespace grl::bridge;
    if (argc < 4) Loop::die("usage: bare_save ROUNDS DIRECTORY MONITOR...");
    Loop loop;
    Monitors monitors;
    for (int i = 3; i < argc; ++i) {
        Qmp::connect(loop.io, argv[i], kLimit, [&](grl::Result<std::shared_ptr<Qmp>> q) {
            if (!q) Loop::die(q.error().text());
            monitors.push_back(*q);
            loop.over = true;
        });
        loop.until_done();
    }
    auto capabilities = [](std::size_t) {
        grl::json::array off;
        off.push_back({{"capability", "background-snapshot"}, {"state", false}});
        off.push_back({{"capability", "events"}, {"state", true}});
        return grl::json::object{{"capabilities", off}};
    };
    all(loop, monitors, "migrate-set-capabilities", capabilities);
    all(loop, monitors, "migrate-set-parameters",
        [](std::size_t) { return grl::json::object{{"max-bandwidth", 100LL << 30}}; });
    for (int i = std::atoi(argv[1]); i > 0; --i) round(loop, monitors, argv[2]);
    return 0;
}
