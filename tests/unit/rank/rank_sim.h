// Simulated ranks of one node in one process: real page, gates, agents and threads; only the fence
// is a fake, a barrier with a table of values.
#pragma once

#include <sys/mman.h>

#include <barrier>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "grl/page/attempt.h"
#include "pmix_hooks/agent.h"

namespace grl::test {

using std::chrono::milliseconds;

// What the fences of all simulated ranks share.
struct Exchange {
    explicit Exchange(std::uint32_t n) : ranks(n), values(n), present(n), fences(n) {}

    const std::uint32_t ranks;
    bool is_barrier = true;
    bool eager = false;   // a value is seen as soon as it is given, as by ranks of the same node
    std::string failure;  // of every fence
    std::mutex mutex;
    std::condition_variable turned;
    std::vector<FenceValue> values;
    std::vector<bool> present;
    std::vector<int> fences;  // entered, by rank
    std::uint32_t arrived = 0;
    std::uint32_t turns = 0;
};

class FakeFence final : public Fence {
  public:
    FakeFence(Exchange& all, std::uint32_t rank) : all_(all), rank_(rank) {}

    std::uint32_t rank() const override { return rank_; }
    std::uint32_t ranks() const override { return all_.ranks; }

    std::string give(const FenceValue& mine) override {
        const std::lock_guard lock(all_.mutex);
        mine_ = mine;
        if (all_.eager) show();
        return {};
    }

    std::string meet(FenceValue* values, bool* present) override {
        std::unique_lock lock(all_.mutex);
        show();
        ++all_.fences[rank_];
        if (!all_.failure.empty()) return all_.failure;
        if (all_.is_barrier) {
            const std::uint32_t turn = all_.turns;
            if (++all_.arrived == all_.ranks) {
                all_.arrived = 0;
                ++all_.turns;
                all_.turned.notify_all();
            }
            all_.turned.wait(lock, [&] { return all_.turns != turn; });
        }
        for (std::uint32_t r = 0; r < all_.ranks && values != nullptr; ++r) {
            values[r] = all_.values[r];
            present[r] = all_.present[r];
        }
        return {};
    }

  private:
    void show() {
        all_.values[rank_] = mine_;
        all_.present[rank_] = true;
    }

    Exchange& all_;
    const std::uint32_t rank_;
    FenceValue mine_;
};

struct Rank {
    std::unique_ptr<Gate> gate = std::make_unique<Gate>();
    RankSlot* slot = nullptr;
    std::unique_ptr<Agent> agent;
    std::atomic<int> finished{0};  // calls of ops.finish
    std::atomic<int> polled{0};

    RankState state() const { return static_cast<RankState>(slot->state.load()); }
    CallClass call() const { return static_cast<CallClass>(slot->call.load()); }
};

inline bool eventually(const std::function<bool()>& condition,
                       milliseconds limit = milliseconds(10'000)) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > end) return false;
        std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return true;
}

class Node {
  public:
    explicit Node(std::uint32_t n, milliseconds grace = milliseconds(10'000), bool threaded = false)
        : memory_(std::make_unique<Memory[]>(line_page_bytes(n) / sizeof(Memory) + 1)),
          fences(n),
          ranks(n) {
        page = new (memory_.get()) LinePage{};
        page->magic = kLinePageMagic;
        page->version = kLinePageVersion;
        page->slots = page->step_ranks = n;
        page->grace_ns = std::chrono::nanoseconds(grace).count();
        for (std::uint32_t r = 0; r < n; ++r) {
            Rank& rank = ranks[r];
            rank.slot = new (slots_of(page) + r) RankSlot{};
            rank.gate->ops = {finish, poll, &rank};
            rank.gate->threaded = threaded;
            rank.agent = std::make_unique<Agent>(*page, r, *rank.gate,
                                                 std::make_unique<FakeFence>(fences, r));
            const std::string error = rank.agent->start();
            if (!error.empty()) throw std::runtime_error(error);
        }
        eventually([&] { return all_in(RankState::running); });
    }

    std::uint32_t open() {
        const std::uint32_t next = ++attempt;
        open_attempt(*page, next, 100 + next);
        return next;
    }
    void close(Outcome outcome = Outcome::released) { close_attempt(*page, attempt, outcome); }

    bool all_in(RankState state) const {
        for (const Rank& rank : ranks)
            if (rank.state() != state) return false;
        return true;
    }
    bool silent() const { return page->proof.attempt == attempt && all_in(RankState::silent); }
    bool proven() const { return silent() && page->proof.proven == 1; }

  private:
    struct alignas(64) Memory {
        char bytes[64];
    };
    // Completes all, as an all-fence would.
    static void finish(void* context) {
        Rank& rank = *static_cast<Rank*>(context);
        ++rank.finished;
        rank.slot->completed.store(rank.slot->issued.load());
    }
    static void poll(void* context) { ++static_cast<Rank*>(context)->polled; }

    std::unique_ptr<Memory[]> memory_;

  public:
    LinePage* page = nullptr;
    std::atomic<std::uint32_t> attempt{0};
    Exchange fences;
    std::vector<Rank> ranks;
};

// An application thread that makes one call at a time, each for as long as the test says.
class Caller {
  public:
    explicit Caller(Rank& rank) : rank_(rank) {}
    ~Caller() { finish(); }

    // Begins a call on a thread of its own; `inside` tells when it has passed the gate.
    void begin(CallClass call) {
        finish();
        inside = false;
        release_ = false;
        done = false;
        thread_ = std::thread([this, call] {
            {
                const GatePass pass(*rank_.gate, call);
                inside = true;
                eventually([this] { return release_.load(); });
                if (call == CallClass::one_sided) pass.complete(1);
            }
            done = true;
        });
    }
    void end() { release_ = true; }
    void finish() {
        end();
        if (thread_.joinable()) thread_.join();
    }

    std::atomic<bool> inside{false};
    std::atomic<bool> done{false};

  private:
    Rank& rank_;
    std::thread thread_;
    std::atomic<bool> release_{false};
};

}  // namespace grl::test
