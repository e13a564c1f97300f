// A small cluster for tests of the coordinator: real channels over socket pairs, bridges, guests
// and masters that are made up. No MUNGE: the coordinator takes channels with the peer already
// known.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>

#include "coordinator/coordinator.h"
#include "grl/messages/guests.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

inline constexpr std::uint32_t kJob = 12;
inline constexpr std::uint32_t kUser = 1000;
inline constexpr const char* kStore = "store-1";  // the checkpoint directory's id

struct World;

// What Slurm would say.
struct FakeSlurm : SlurmView {
    explicit FakeSlurm(asio::io_context& i) : io(i) {}
    void look(std::uint32_t job, std::chrono::milliseconds, Then then) override {
        answer([this, job, then = std::move(then)] {
            auto it = jobs.find(job);
            if (it != jobs.end()) return then(it->second);
            then(fail("asking Slurm", "", "there is no such job", ErrorKind::not_found));
        });
    }
    void nodes(std::function<void(Result<std::vector<NodeFacts>>)> then) override {
        answer([this, then = std::move(then)] { then(node_list); });
    }
    void change(NodeChange change, std::function<void(Result<void>)> then) override {
        for (NodeFacts& n : node_list) {
            if (n.name != change.node) continue;
            if (change.resume) n.drained = false;
            if (change.comment) n.comment = *change.comment;
            if (change.reason) n.reason = *change.reason;
        }
        answer([then = std::move(then)] { then({}); });
    }
    void drain(const std::string& node, const std::string& reason) {
        std::erase_if(node_list, [&](const NodeFacts& n) { return n.name == node; });
        node_list.push_back({node, true, reason, "rack=7 host=h2", ++drains});
    }
    // As the real one: no answer comes once its coordinator has ended.
    void answer(std::function<void()> then) {
        asio::post(io, [then = std::move(then), alive = std::weak_ptr<int>(life)] {
            if (!alive.expired()) then();
        });
    }
    asio::io_context& io;
    std::shared_ptr<int> life = std::make_shared<int>();
    std::map<std::uint32_t, JobFacts> jobs;
    std::vector<NodeFacts> node_list;
    std::int64_t drains = 0;
};

// A host's bridge. Answers as a good one does, unless told otherwise for a type of request:
// `mute` never answers, `refuse` answers an error, `late` answers when let().
struct FakeBridge {
    FakeBridge(World& world, std::string host) : w(world), name(std::move(host)) {}
    void connect();
    void die();  // as a process does
    void tell_inventory();
    void add(const std::string& guest, GuestState state);
    void let();
    bool has(const std::string& guest, GuestState state) const;
    // Without its mount a host has a directory of its own, which is empty and has no marker.
    void mount(bool there);
    std::map<std::pair<std::uint32_t, std::uint32_t>, json::object>& directory();

    World& w;
    std::string name;
    std::shared_ptr<Channel> channel;
    Inventory inventory;
    using Records = std::map<std::string, std::vector<std::string>>;
    bool mounted = true;
    std::map<std::pair<std::uint32_t, std::uint32_t>, json::object> under_mount;
    std::set<std::string> mute;
    std::map<std::string, Error> refuse;
    std::set<std::string> late;
    std::vector<std::function<void()>> waiting;
    std::set<std::string> no_image;  // guests whose image fails
    std::set<std::uint32_t> damaged;  // lines that it finds so
    bool images_late = false;        // images become durable by durable()
    bool captures_live = false;
    std::map<std::uint32_t, std::vector<std::string>>
        lines;                         // line → guests, between prepare and end
    std::set<std::uint32_t> standing;  // lines that hold guests still
    void durable(std::uint32_t line);
    std::map<std::uint32_t, std::string> moves;  // guests that are sent or received, by move
    bool stops_early = false;                    // the VMM does, at the end of the first pass

  private:
    void take(const std::string& type, const json::object& body,
              std::shared_ptr<Channel::Responder> asker);
    void act(const std::string& type, const json::object& body, Channel::Responder& asker);
    void set(const std::string& guest, GuestState state);
};

// A guest's master of step 0.
struct FakeMaster {
    FakeMaster(World& world, std::string node) : w(world), name(std::move(node)) {}
    void connect();
    void die();
    void tell();

    World& w;
    std::string name;
    std::shared_ptr<Channel> channel;
    StepState state;
    bool silent = true;  // falls silent when told to
    bool answers = true;  // to a release
    std::string refuses;
    std::uint64_t issued = 100;
    std::uint32_t proof_ranks = 6;
    std::vector<Release> releases;
    std::uint32_t failsafe_ms = 0;  // of the last drain
    std::uint32_t origin_host = 0;  // last number of the address it proves itself from; 0: its own
    std::uint32_t uid = 0;
};

struct World {
    World();
    ~World();

    void start();  // the coordinator, on the catalog that is there
    void stop();   // as kill -9 does
    FakeBridge& bridge(const std::string& host);
    FakeMaster& master(const std::string& node);
    // Three hosts with a guest each, a spare, and a job on the three guests that is ready.
    void ready();
    void job_here();

    // Runs until `good`, false after five seconds.
    bool until(const std::function<bool()>& good);
    void settle(int ms = 30);
    void run(int turns);  // so many of what is ready

    // Asks for a line and waits for its end.
    Result<LineReport> line();
    Result<LineReport> rehearsal();
    Result<RestoreReport> restore(std::optional<std::uint32_t> to = {});
    Result<MoveReport> move(const std::string& guest, const std::string& host = "");
    // A question of grlctl's.
    Result<json::object> ask(std::uint32_t uid, const std::string& type, json::object body);

    std::pair<std::shared_ptr<Channel>, std::shared_ptr<Channel>> pair(const std::string& theirs);
    // How often a message of the type reached anyone ("h1 freeze_line"), and where it stands in
    // order.
    int count(const std::string& entry) const;
    int place_of(const std::string& entry) const;  // of the last; -1: never

  private:
    Result<LineReport> end_of(void (Lines::*ask)(std::uint32_t, Watcher<LineReport>));

  public:
    asio::io_context io;
    std::string dir;
    CoordinatorConfig config;
    FakeSlurm* slurm = nullptr;  // the coordinator's
    std::map<std::uint32_t, JobFacts> slurm_jobs;
    std::unique_ptr<Coordinator> coordinator;
    std::map<std::string, std::unique_ptr<FakeBridge>> bridges;
    std::map<std::string, std::unique_ptr<FakeMaster>> masters;
    std::map<std::pair<std::uint32_t, std::uint32_t>, json::object> directory;  // manifests
    std::map<std::string, std::vector<std::string>> host_records;               // beside the images
    std::vector<std::string> log;
    std::map<std::uint32_t, std::map<std::string, StepState>> saved;  // line → node → its master's
};

std::string address_of(const std::string& guest);

}  // namespace grl::coordinator
