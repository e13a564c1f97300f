// Stands in for the masters of all nodes of a step whose pages are on this machine: makes the
// pages, waits for the ranks, opens and closes attempts at random moments, and prints one JSON
// object of what came of them. For tests and benchmarks of the rank side.
//
//   line_driver [--lines N] [--gap-ms MS] [--hold-ms MS] [--grace-ms MS] [--deadline-ms MS]
//               [--first-ms MS] [--abort-us US] [--verbose] PATH:SLOTS...
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "grl/page/attempt.h"

namespace {

using namespace grl;

struct Settings {
    std::map<std::string, long> values = {
        {"--lines", 20},         {"--gap-ms", 50},    {"--hold-ms", 1}, {"--grace-ms", 20},
        {"--deadline-ms", 5000}, {"--first-ms", 200}, {"--abort-us", 0}};
    bool verbose = false;
    long operator[](const char* name) const { return values.at(name); }
};

struct Tally {
    std::vector<double> drain_us;
    std::map<std::string, int> reasons;
    int lines = 0, proven = 0, unproven = 0, aborted = 0, with_deferred = 0;
};

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "line_driver: %s: %s\n", what.c_str(), std::strerror(errno));
    std::exit(2);
}

LinePage* make_page(const std::string& path, std::uint32_t slots) {
    unlink(path.c_str());
    const int file = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const std::size_t bytes = line_page_bytes(slots);
    if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) die(path);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) die(path);
    return static_cast<LinePage*>(memory);
}

bool all_in(const LinePage& page, RankState state) {
    const RankSlot* slots = slots_of(const_cast<LinePage*>(&page));
    return std::all_of(slots, slots + page.slots, [&](const RankSlot& slot) {
        return slot.state.load() == static_cast<std::uint32_t>(state);
    });
}

bool any_from(const LinePage& page, RankState state) {
    const RankSlot* slots = slots_of(const_cast<LinePage*>(&page));
    return std::any_of(slots, slots + page.slots, [&](const RankSlot& slot) {
        return slot.state.load() >= static_cast<std::uint32_t>(state);
    });
}

template <class Condition>
bool wait_until(LinePage& page, std::int64_t deadline, Condition condition) {
    for (;;) {
        const std::uint32_t events = page.events.load();
        if (condition()) return true;
        const std::int64_t left = deadline - monotonic_ns();
        if (left <= 0) return false;
        futex_wait(page.events, events, Reach::node, std::min<std::int64_t>(left, 50'000'000));
    }
}

bool wait_running(const std::vector<LinePage*>& pages, std::int64_t deadline) {
    for (LinePage* page : pages)
        if (!wait_until(*page, deadline, [&] {
                return all_in(*page, RankState::running) || any_from(*page, RankState::leaving);
            }))
            return false;
    return std::none_of(pages.begin(), pages.end(),
                        [](const LinePage* page) { return any_from(*page, RankState::leaving); });
}

std::string take_line(const std::vector<LinePage*>& pages, std::uint32_t attempt,
                      const Settings& settings, Tally& tally) {
    const std::int64_t start = monotonic_ns();
    for (LinePage* page : pages) open_attempt(*page, attempt, attempt);
    const std::int64_t limit = settings["--abort-us"] != 0 ? settings["--abort-us"] * 1000
                                                           : settings["--deadline-ms"] * 1'000'000;
    std::string reason;
    std::uint64_t deferred = 0;
    for (LinePage* page : pages) {
        const bool answered = wait_until(*page, start + limit, [&] {
            return page->proof.attempt.load() == attempt &&
                   (page->proof.proven.load() == 0 || all_in(*page, RankState::silent));
        });
        if (!answered)
            reason = "aborted";
        else if (page->proof.proven.load() == 0 && reason.empty())
            reason = page->proof.reason;
        deferred = page->proof.deferred.load();
    }
    const std::int64_t end = monotonic_ns();
    ++tally.lines;
    if (reason.empty()) {
        ++tally.proven;
        tally.with_deferred += deferred != 0;
        tally.drain_us.push_back(static_cast<double>(end - start) / 1000);
        usleep(static_cast<useconds_t>(settings["--hold-ms"] * 1000));
    } else {
        ++(reason == "aborted" ? tally.aborted : tally.unproven);
        ++tally.reasons[reason];
    }
    for (LinePage* page : pages)
        close_attempt(*page, attempt, reason.empty() ? Outcome::released : Outcome::aborted);
    if (settings.verbose)
        std::fprintf(stderr, "attempt %u %.0f us deferred %llu %s\n", attempt,
                     static_cast<double>(end - start) / 1000,
                     static_cast<unsigned long long>(deferred), reason.c_str());
    return reason;
}

void print(Tally& tally) {
    auto& us = tally.drain_us;
    std::sort(us.begin(), us.end());
    const auto at = [&](double q) {
        return us.empty() ? 0.0
                          : us[static_cast<std::size_t>(q * static_cast<double>(us.size() - 1))];
    };
    std::printf(
        "{\"lines\":%d,\"proven\":%d,\"unproven\":%d,\"aborted\":%d,\"with_deferred\":%d,"
        "\"drain_us\":{\"median\":%.0f,\"p10\":%.0f,\"p90\":%.0f,\"max\":%.0f},\"reasons\":{",
        tally.lines, tally.proven, tally.unproven, tally.aborted, tally.with_deferred, at(0.5),
        at(0.1), at(0.9), at(1));
    const char* comma = "";
    for (const auto& [reason, count] : tally.reasons) {
        std::printf("%s\"%s\":%d", comma, reason.c_str(), count);
        comma = ",";
    }
    std::printf("}}\n");
}

}  // namespace

int main(int argc, char** argv) {
    Settings settings;
    setpriority(PRIO_PROCESS, 0, -15);  // else it measures how long it waits for a processor
    std::vector<std::pair<std::string, std::uint32_t>> nodes;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const std::size_t colon = word.rfind(':');
        if (word == "--verbose")
            settings.verbose = true;
        else if (settings.values.contains(word) && i + 1 < argc)
            settings.values[word] = std::strtol(argv[++i], nullptr, 10);
        else if (word[0] != '-' && colon != std::string::npos)
            nodes.emplace_back(word.substr(0, colon), std::strtoul(&word[colon + 1], nullptr, 10));
        else
            die("what is " + word);
    }
    std::uint32_t ranks = 0;
    for (const auto& node : nodes) ranks += node.second;
    std::vector<LinePage*> pages;
    for (const auto& [path, slots] : nodes) {
        LinePage* page = pages.emplace_back(make_page(path, slots));
        page->version = kLinePageVersion;
        page->slots = slots;
        page->step_ranks = ranks;
        page->grace_ns.store(settings["--grace-ms"] * 1'000'000);
        page->magic = kLinePageMagic;
    }
    std::printf("ready\n");
    std::fflush(stdout);
    Tally tally;
    std::mt19937 random(1);
    if (!wait_running(pages, monotonic_ns() + 60'000'000'000)) die("the ranks do not join");
    usleep(static_cast<useconds_t>(settings["--first-ms"] * 1000));
    for (std::uint32_t attempt = 1; attempt <= settings["--lines"]; ++attempt) {
        if (!wait_running(pages, monotonic_ns() + 60'000'000'000)) break;
        usleep(static_cast<useconds_t>(random() % (2 * settings["--gap-ms"] * 1000 + 1)));
        if (!wait_running(pages, monotonic_ns() + 60'000'000'000)) break;
        take_line(pages, attempt, settings, tally);
    }
    print(tally);
    for (const auto& node : nodes) unlink(node.first.c_str());
    return 0;
}
