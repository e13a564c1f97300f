#include "tests/unit/coordinator/world.h"

#include <algorithm>
#include <memory>

#include "grl/base/log.h"
#include "grl/messages/check.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace fs = std::filesystem;

std::string address_of(const std::string& guest) {
    return "10.0.0." + guest.substr(1);
}

// ---- bridges ----

void FakeBridge::mount(bool there) {
    mounted = there;
    inventory.store = there ? kStore : "";
    tell_inventory();
}

std::map<std::pair<std::uint32_t, std::uint32_t>, json::object>& FakeBridge::directory() {
    return mounted ? w.directory : under_mount;
}

void FakeBridge::add(const std::string& guest, GuestState state) {
    inventory.guests.push_back({guest, state, address_of(guest), 256, "digest-of-" + guest});
    if (state != GuestState::absent) inventory.memory_free_mib -= 256;
}

void FakeBridge::set(const std::string& guest, GuestState state) {
    for (GuestInfo& g : inventory.guests) {
        if (g.name != guest) continue;
        const bool was = g.state != GuestState::absent, is = state != GuestState::absent;
        if (was && !is) inventory.memory_free_mib += 256;
        if (!was && is) inventory.memory_free_mib -= 256;
        g.state = state;
    }
}

bool FakeBridge::has(const std::string& guest, GuestState state) const {
    return std::any_of(inventory.guests.begin(), inventory.guests.end(),
                       [&](const GuestInfo& g) { return g.name == guest && g.state == state; });
}

void FakeBridge::connect() {
    auto [ours, theirs] = w.pair("bridge " + name);
    channel = ours;
    channel->set_handlers({
        .event = {},
        .request =
            [this](const std::string& type, const json::object& body, Channel::Responder r) {
                take(type, body, std::make_shared<Channel::Responder>(std::move(r)));
            },
        .closed = {},
    });
    channel->start();
    w.coordinator->accept_hosts(theirs, {"bridge", name, 0, "10.1.0." + name.substr(1), ""});
    tell_inventory();
}

void FakeBridge::tell_inventory() {
    w.host_records[name].clear();
    for (const GuestInfo& g : inventory.guests) {
        if (holds_state(g.state)) w.host_records[name].push_back(g.name);
    }
    if (channel && channel->is_open()) channel->send(inventory);
}

void FakeBridge::die() {
    if (channel) channel->close(fail("", "", "killed"));
    standing.clear();
    for (GuestInfo& g : inventory.guests) {
        if (g.state == GuestState::absent) continue;
        auto it = w.masters.find(g.name);
        const bool was_alive = g.state == GuestState::running || g.state == GuestState::paused;
        if (was_alive && it != w.masters.end()) it->second->die();
        set(g.name, GuestState::absent);
    }
}

void FakeBridge::take(const std::string& type, const json::object& body,
                      std::shared_ptr<Channel::Responder> asker) {
    if (type != Heartbeat::kType) w.log.push_back(name + " " + type);
    static std::vector<std::shared_ptr<Channel::Responder>> unanswered;
    if (mute.count(type)) return unanswered.push_back(asker);
    auto no = refuse.find(type);
    if (no != refuse.end()) return asker->error(no->second);
    if (late.count(type)) {
        waiting.push_back([this, type, body, asker] { act(type, body, *asker); });
        return;
    }
    act(type, body, *asker);
}

void FakeBridge::let() {
    late.clear();
    for (auto& f : std::exchange(waiting, {})) f();
}

void FakeBridge::durable(std::uint32_t line) {
    for (const std::string& guest : lines[line]) {
        if (no_image.count(guest)) {
            channel->send(GuestFailed{{kJob, line}, guest, "no space left"});
        } else {
            channel->send(LineProgress{{kJob, line}, guest, 500, 50});
            channel->send(GuestDurable{
                {kJob, line}, guest, 1 << 20, 1 << 18, std::string(32, 'b'), wall_ns()});
        }
    }
}

void FakeBridge::act(const std::string& type, const json::object& body, Channel::Responder& asker) {
    auto as = [&]<class M>(M*) { return *from_json<M>(body, type); };
    auto line = [&] {
        return static_cast<std::uint32_t>(body.at("id").at("line").to_number<int>());
    };
    auto job = [&] { return static_cast<std::uint32_t>(body.at("id").at("job").to_number<int>()); };
    if (type == PrepareLine::kType) {
        lines[line()] = as(static_cast<PrepareLine*>(nullptr)).guests;
        return asker.reply(PreparedLine{captures_live});
    } else if (type == FreezeLine::kType) {
        FrozenLine reply;
        for (const auto& g : lines[line()]) reply.guests.push_back({g, wall_ns()});
        standing.insert(line());
        w.log.push_back(name + " frozen");
        return asker.reply(reply);
    } else if (type == CaptureLine::kType) {
        CapturedLine reply;
        for (const auto& g : lines[line()]) {
            reply.guests.push_back({g, CaptureMethod::stop_copy, wall_ns(), ""});
            // A guest's memory holds its master, as it is now.
            if (w.masters.count(g)) w.saved[line()][g] = w.masters[g]->state;
        }
        asker.reply(reply);
        if (!images_late) durable(line());
        return;
    } else if (type == CommitLine::kType) {
        directory()[{job(), line()}] = body.at("manifest").as_object();
    } else if (type == ResumeLine::kType || type == AbortLine::kType) {
        standing.erase(line());
    } else if (type == DeleteLine::kType) {
        if (standing.count(line()) != 0) {
            return asker.error(fail("deleting a line", name, "it is under way"));
        }
        directory().erase({job(), line()});
    } else if (type == ListLines::kType) {
        LineList reply;
        for (const auto& [id, m] : directory()) reply.manifests.push_back(m);
        for (const auto& [host, guests] : mounted ? w.host_records : Records{})
            reply.hosts.push_back({host, guests});
        return asker.reply(reply);
    } else if (type == DestroyGuests::kType) {
        for (const auto& g : as(static_cast<DestroyGuests*>(nullptr)).guests) {
            if (has(g, GuestState::absent)) continue;
            const bool was_alive = has(g, GuestState::running) || has(g, GuestState::paused);
            set(g, GuestState::absent);
            if (was_alive && w.masters.count(g)) w.masters[g]->channel.reset();
        }
        asker.reply(Done{});
        return tell_inventory();
    } else if (type == CheckRestore::kType) {
        VerifiedLine reply;
        const bool good = damaged.count(line()) == 0;
        for (const auto& g : as(static_cast<CheckRestore*>(nullptr)).guests) {
            reply.guests.push_back({g, good, good ? "" : "its bytes have changed", 1 << 18});
        }
        return asker.reply(reply);
    } else if (type == RestoreGuests::kType) {
        RestoredGuests reply;
        for (const auto& g : as(static_cast<RestoreGuests*>(nullptr)).guests) {
            set(g, GuestState::paused);
            if (w.masters.count(g)) w.masters[g]->state = w.saved[line()][g];
            reply.guests.push_back({g, 1 << 18, 1, 2});
        }
        asker.reply(reply);
        return tell_inventory();
    } else if (type == ResumeGuests::kType) {
        asker.reply(Done{});
        const auto guests = as(static_cast<ResumeGuests*>(nullptr)).guests;
        for (const auto& g : guests) set(g, GuestState::running);
        tell_inventory();
        for (const auto& g : guests) {
            if (w.masters.count(g) && !w.masters[g]->channel) w.masters[g]->connect();
        }
        return;
    } else if (type == ReceiveGuest::kType) {
        const auto ask = as(static_cast<ReceiveGuest*>(nullptr));
        moves[ask.move] = ask.guest;
        set(ask.guest, GuestState::arriving);
        asker.reply(Receiving{"10.1.0.9:9"});
        return tell_inventory();
    } else if (type == SendGuest::kType) {
        const auto ask = as(static_cast<SendGuest*>(nullptr));
        moves[ask.move] = ask.guest;
        channel->send(MoveProgress{ask.move, 1 << 20, 1 << 10, 1 << 12, 1, false});
        return asker.reply(Precopied{stops_early, 1 << 20});
    } else if (type == SwitchGuest::kType) {
        set(moves[as(static_cast<SwitchGuest*>(nullptr)).move], GuestState::moved);
        tell_inventory();
        return asker.reply(Switched{wall_ns(), 2 << 20});
    } else if (type == AwaitGuest::kType) {
        set(moves[as(static_cast<AwaitGuest*>(nullptr)).move], GuestState::arrived);
        tell_inventory();
    } else if (type == DropMove::kType) {
        const std::string guest = moves[as(static_cast<DropMove*>(nullptr)).move];
        const bool came = has(guest, GuestState::arriving) || has(guest, GuestState::arrived);
        set(guest,
            came || has(guest, GuestState::absent) ? GuestState::absent : GuestState::running);
        tell_inventory();
    } else if (type == StartGuest::kType) {
        set(as(static_cast<StartGuest*>(nullptr)).guest, GuestState::running);
        asker.reply(Done{});
        return tell_inventory();
    } else if (type == VerifyLine::kType) {
        return asker.reply(VerifiedLine{{{"g1", true, "", 5}, {"g2", false, "digest differs", 5}}});
    }
    asker.reply(Done{});
}

// ---- masters ----

void FakeMaster::connect() {
    auto [ours, theirs] = w.pair("master " + name);
    channel = ours;
    channel->set_handlers({
        .event = [this](const std::string& type,
                        const json::object&) { w.log.push_back(name + " " + type); },
        .request =
            [this](const std::string& type, const json::object& body, Channel::Responder r) {
                static std::vector<std::shared_ptr<Channel::Responder>> unanswered;
                auto asker = std::make_shared<Channel::Responder>(std::move(r));
                w.log.push_back(name + " " + type);
                if (type == Drain::kType) {
                    auto drain = *from_json<Drain>(body, type);
                    if (!refuses.empty()) {
                        return asker->error(fail("draining", name, refuses));
                    }
                    failsafe_ms = drain.failsafe_ms;
                    state.attempt = drain.attempt;
                    state.line = drain.line;
                    state.closed = false;
                    tell();
                    if (!silent) return unanswered.push_back(asker);
                    asker->reply(Silent{drain.attempt, {proof_ranks, issued, issued - 1, 1}, 1, 2});
                } else if (!answers) {
                    unanswered.push_back(asker);
                } else {
                    releases.push_back(*from_json<Release>(body, type));
                    state.closed = true;
                    state.generation = releases.back().generation;
                    asker->reply(Done{});
                    tell();
                }
            },
        .closed = {},
    });
    channel->start();
    const std::string origin =
        origin_host ? "10.0.0." + std::to_string(origin_host) : address_of(name);
    w.coordinator->accept_cluster(theirs, {"master", name, uid, origin, origin});
    tell();
}

void FakeMaster::tell() {
    if (channel && channel->is_open()) channel->send(state);
}

void FakeMaster::die() {
    if (channel) channel->close(fail("", "", "killed"));
    channel.reset();
}

// ---- the world ----

World::World() {
    log_start("test", LogLevel::error);
    char name[] = "/tmp/grl_world_XXXXXX";
    dir = mkdtemp(name);
    config.cluster = "lab";
    config.coordinator.catalog = dir + "/catalog.db";
    config.coordinator.watch_nodes_ms = 20;
    Deadlines& d = config.deadlines;
    d.prepare_ms = d.drain_ms = d.freeze_ms = d.capture_ms = d.release_ms = 300;
    d.precopy_ms = d.switch_ms = 300;
    d.commit_ms = 600;
    d.restore_ms = d.rejoin_ms = 500;
    d.fence_ms = 2000;
    d.bridge_lost_ms = 250;
    slurm_jobs[kJob] = {kJob, kUser, true, "RUNNING", {"g1", "g2", "g3"}, ""};
    start();
}

World::~World() {
    stop();
    fs::remove_all(dir);
}

void World::start() {
    auto catalog = Catalog::open(config.coordinator.catalog);
    ASSERT_TRUE(catalog) << catalog.error().text();
    auto view = std::make_unique<FakeSlurm>(io);
    slurm = view.get();
    slurm->jobs = slurm_jobs;
    coordinator = std::make_unique<Coordinator>(io, config, std::move(*catalog), std::move(view));
}

void World::stop() {
    coordinator.reset();
    for (auto& [name, b] : bridges) b->channel.reset();
    for (auto& [name, m] : masters) m->channel.reset();
    // What stands in its queue is for parts that are gone, and never runs (coordinator.h).
    std::destroy_at(&io);
    std::construct_at(&io);
}

FakeBridge& World::bridge(const std::string& host) {
    auto& b = bridges[host];
    if (!b) {
        b = std::make_unique<FakeBridge>(*this, host);
        b->inventory = {host, "qemu", "QEMU 7.2.22", 1024, 1024, {}};
        b->inventory.store = kStore;
        b->inventory.image_dir = "/ckpt";
    }
    return *b;
}

FakeMaster& World::master(const std::string& node) {
    auto& m = masters[node];
    if (!m) {
        m = std::make_unique<FakeMaster>(*this, node);
        m->state = {kJob, 0, node, 3, 2, 6, kUser, 0, 2, 0, 0, 0, 0, true};
    }
    return *m;
}

void World::ready() {
    for (int i = 1; i <= 4; ++i) {
        FakeBridge& b = bridge("h" + std::to_string(i));
        for (int g = 1; g <= 3; ++g) {
            b.add("g" + std::to_string(g), g == i ? GuestState::running : GuestState::absent);
        }
        b.connect();
    }
    settle();
    job_here();
}

void World::job_here() {
    for (const char* g : {"g1", "g2", "g3"}) master(g).connect();
    ASSERT_TRUE(until([this] {
        Step* step = coordinator->steps().find(kJob, 0);
        return step && line_obstacle(*step, coordinator->hosts()).empty();
    }));
}

bool World::until(const std::function<bool()>& good) {
    const auto end = Steady::now() + std::chrono::seconds(5);
    while (!good()) {
        if (Steady::now() > end) return false;
        io.restart();
        io.run_one_for(std::chrono::milliseconds(5));
    }
    return true;
}

void World::settle(int ms) {
    const auto end = Steady::now() + std::chrono::milliseconds(ms);
    while (Steady::now() < end) {
        io.restart();
        io.run_one_for(std::chrono::milliseconds(2));
    }
}

void World::run(int turns) {
    for (; turns > 0; --turns) {
        io.restart();
        io.poll_one();
    }
}

Result<LineReport> World::line() {
    return end_of(&Lines::request);
}

Result<LineReport> World::rehearsal() {
    return end_of(&Lines::rehearse);
}

Result<LineReport> World::end_of(void (Lines::*ask)(std::uint32_t, Watcher<LineReport>)) {
    std::optional<Result<LineReport>> outcome;
    (coordinator->lines().*ask)(kJob, {{}, [&](Result<LineReport> r) { outcome = std::move(r); }});
    if (!until([&] { return outcome.has_value(); })) return fail("test", "", "no end");
    settle();
    return *outcome;
}

Result<RestoreReport> World::restore(std::optional<std::uint32_t> to) {
    std::optional<Result<RestoreReport>> outcome;
    coordinator->restores().request(kJob, to,
                                    {{}, [&](Result<RestoreReport> r) { outcome = std::move(r); }});
    if (!until([&] { return outcome.has_value(); })) return fail("test", "", "no end");
    settle();
    return *outcome;
}

Result<MoveReport> World::move(const std::string& guest, const std::string& host) {
    std::optional<Result<MoveReport>> outcome;
    coordinator->moves().move(guest, host, "test",
                              {{}, [&](Result<MoveReport> r) { outcome = std::move(r); }});
    if (!until([&] { return outcome.has_value(); })) return fail("test", "", "no end");
    settle();
    return *outcome;
}

Result<json::object> World::ask(std::uint32_t uid, const std::string& type, json::object body) {
    auto [ours, theirs] = pair("ctl");
    const bool check = type == CheckStep::kType;
    coordinator->accept_cluster(theirs, {check ? "check" : "ctl", "user", uid, "", ""});
    ours->start();
    std::optional<Result<json::object>> outcome;
    ours->request_raw(type, std::move(body), Milliseconds(5000),
                      [&](Result<json::object> r) { outcome = std::move(r); });
    if (!until([&] { return outcome.has_value(); })) return fail("test", "", "no answer");
    ours->close(fail("test", "", "done"));
    return *outcome;
}

std::pair<std::shared_ptr<Channel>, std::shared_ptr<Channel>> World::pair(
    const std::string& theirs) {
    using local = asio::local::stream_protocol;
    local::socket a(io), b(io);
    asio::local::connect_pair(a, b);
    return {std::make_shared<Channel>(Stream(std::move(a)), "coordinator"),
            std::make_shared<Channel>(Stream(std::move(b)), theirs)};
}

int World::count(const std::string& entry) const {
    return static_cast<int>(std::count(log.begin(), log.end(), entry));
}

int World::place_of(const std::string& entry) const {
    for (int i = static_cast<int>(log.size()) - 1; i >= 0; --i) {
        if (log[static_cast<std::size_t>(i)] == entry) return i;
    }
    return -1;
}

}  // namespace grl::coordinator
