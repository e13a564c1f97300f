#include "coordinator/coordinator.h"

#include <pwd.h>

#include "coordinator/requests/check.h"
#include "grl/base/log.h"
#include "grl/messages/check.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kStopLimit{3000};
constexpr Milliseconds kStopPoll{20};
constexpr Milliseconds kNoteAgain{1000};

// Root's where there is no such user.
std::uint32_t uid_of(const std::string& user) {
    std::vector<char> buffer(4096);
    passwd entry{};
    passwd* found = nullptr;
    getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found);
    return found ? found->pw_uid : 0;
}

}  // namespace

Coordinator::Coordinator(asio::io_context& io, CoordinatorConfig config,
                         std::unique_ptr<Catalog> catalog, std::unique_ptr<SlurmView> slurm)
    : io_(io),
      config_(std::move(config)),
      slurm_(std::move(slurm)),
      store_(io, std::move(catalog)),
      hosts_(io, config_.deadlines),
      sweep_(
          io, store_, config_.cluster, [this] { return lines_.active(); },
          [this] { return hosts_.store(); }),
      parts_{io, config_, hosts_, steps_, *slurm_, store_, sweep_, room_},
      lines_(parts_),
      holds_(parts_, lines_),
      restores_(parts_, lines_),
      moves_(parts_, lines_),
      drains_(parts_, moves_),
      masters_(parts_, lines_, restores_),
      control_(parts_, lines_, holds_, restores_, moves_),
      bridge_uid_(uid_of(config_.coordinator.bridge_user)),
      noting_(io),
      stopping_(io) {
    watch_hosts();
    load_fenced();
    load_store();
}

Coordinator::~Coordinator() {
    const Error why = fail("coordinating", "", "the coordinator ends", ErrorKind::unreachable);
    for (const auto& run : lines_.all()) run->abandon();
    for (const auto& [job, run] : restores_.all()) run->abandon();
    hosts_.set_handlers({});
    steps_.close(why);
    hosts_.close(why);
}

void Coordinator::accept_cluster(std::shared_ptr<Channel> channel, const Peer& peer) {
    if (peer.role == "master") return masters_.accept(std::move(channel), peer);
    if (peer.role == "ctl") return control_.accept(std::move(channel), peer);
    if (peer.role == "check") return serve_check(channel, peer);
    log_warning("refused " + peer.origin + ": role " + peer.role + " is none of the cluster's");
    channel->close(fail("accepting", peer.name, "unknown role", ErrorKind::protocol));
}

// Anyone on a host can have the hosts' munged make a credential; only bridges may be believed.
void Coordinator::accept_hosts(std::shared_ptr<Channel> channel, const Peer& peer) {
    if (peer.uid != 0 && peer.uid != bridge_uid_) {
        log_warning("refused bridge " + peer.name + " from " + peer.origin + ": uid " +
                    std::to_string(peer.uid) + " is neither root nor coordinator.bridge_user");
        return channel->close(
            fail("accepting a bridge", peer.name, "not its user", ErrorKind::denied));
    }
    hosts_.accept(std::move(channel), peer);
}

void Coordinator::serve_check(const std::shared_ptr<Channel>& channel, const Peer& peer) {
    channel->set_handlers({
        .event = {},
        .request =
            [this, peer](const std::string& type, const json::object& body,
                         Channel::Responder responder) {
                auto question = from_json<CheckStep>(body, CheckStep::kType);
                if (type != CheckStep::kType || !question) {
                    return responder.error(fail("checking a step", "", "unknown request " + type,
                                                ErrorKind::protocol));
                }
                auto asker = std::make_shared<Channel::Responder>(std::move(responder));
                check_step(parts_, peer, *question,
                           [asker](const Result<StepChecked>& answer) { asker->result(answer); });
            },
        .closed = {},
    });
    channel->start();
}

// What bridges say goes to whom it concerns.
void Coordinator::watch_hosts() {
    Hosts::Handlers handlers;
    handlers.connected = [this](const Host& host) {
        noted_.erase(host.name);  // it may have been fenced meanwhile
        note_places(host);
        see_store(host);
        moves_.settle();
    };
    handlers.changed = [this](const Host& host) {
        note_places(host);
        see_store(host);
        moves_.settle();
    };
    handlers.away = [this](const Host& host, const Error& why) {
        for (const auto& run : lines_.all()) run->bridge_away(host.name, why.why);
        const auto restores = restores_.all();
        for (const auto& [job, run] : restores) run->host_away(host.name, why.why);
    };
    handlers.guest_died = [this](const Host&, const GuestDied& died) {
        for (const auto& run : lines_.all()) run->guest_died(died.guest, died.reason);
        const auto restores = restores_.all();
        for (const auto& [job, run] : restores) run->guest_died(died.guest, died.reason);
    };
    handlers.line_progress = [this](const Host&, const LineProgress& progress) {
        if (auto run = lines_.of(progress.id.job)) run->image_progress(progress);
    };
    handlers.move_progress = [this](const Host&, const MoveProgress& progress) {
        moves_.progress(progress);
    };
    handlers.guest_durable = [this](const Host&, const GuestDurable& durable) {
        if (auto run = lines_.of(durable.id.job)) run->image_durable(durable);
    };
    handlers.guest_failed = [this](const Host&, const GuestFailed& failed) {
        auto run = lines_.of(failed.id.job);
        if (run && run->id().line == failed.id.line) run->image_failed(failed.guest, failed.reason);
    };
    hosts_.set_handlers(std::move(handlers));
}

// On disk, as a host may be lost while the coordinator is away, too. Only a guest that has come is
// given a new place: one that is about to be given away still stands at its source, which is not
// its place any more.
void Coordinator::note_places(const Host& host) {
    Noted now;
    for (const GuestInfo& g : host.inventory.guests) {
        if (!holds_state(g.state)) continue;
        now.has.insert(g.name);
        if (is_here(g.state)) now.runs.insert(g.name);
    }
    for (const auto& [guest, where] : hosts_.starting()) {
        if (where == host.name) now.has.insert(guest);
    }
    std::set<std::string> came = now.runs;
    if (const auto before = noted_.find(host.name); before != noted_.end()) {
        if (before->second == now) return;
        for (const std::string& guest : before->second.runs) came.erase(guest);
    }
    noted_[host.name] = now;
    store_.run(
        [name = host.name, has = now.has, came](Catalog& c) { return c.heard(name, has, came); },
        [this, name = host.name](const Result<void>& heard) {
            if (heard) return;
            log_error("noting where guests are: " + heard.error().text());
            noted_.erase(name);
            note_again();
        });
}

// What could not be written once is written later: a place that is not known is not fenced.
void Coordinator::note_again() {
    noting_.expires_after(kNoteAgain);
    noting_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        for (const Host* host : hosts_.connected()) {
            if (noted_.count(host->name) == 0) note_places(*host);
        }
    });
}

void Coordinator::load_fenced() {
    store_.run([](Catalog& c) { return c.fenced(); },
               [this](const Result<std::vector<std::string>>& hosts) {
                   if (!hosts) return log_error(hosts.error().text());
                   for (const std::string& host : *hosts) hosts_.mark_fenced(host);
               });
}

void Coordinator::load_store() {
    store_.run([](Catalog& c) { return c.store(); },
               [this](const Result<std::string>& id) {
                   if (!id) return log_error(id.error().text());
                   store_loaded_ = true;
                   hosts_.set_store(*id);
                   for (const Host* host : hosts_.connected()) see_store(*host);
               });
}

// A catalog that knows no directory takes the first that is shown to it: only --init-store makes
// markers.
void Coordinator::see_store(const Host& host) {
    if (!store_loaded_) return;
    const std::string& seen = host.inventory.store;
    if (hosts_.store().empty() && !seen.empty()) {
        hosts_.set_store(seen);
        log_info("the checkpoint directory is " + seen + ", as " + host.name + " sees it");
        store_.note([seen](Catalog& c) { return c.put_store(seen); });
    }
    const std::string fault = hosts_.store_fault(host);
    if (std::exchange(store_faults_[host.name], fault) != fault && !fault.empty()) {
        log_warning(fault);
    }
    auto& swept = swept_[host.name];
    if (!fault.empty()) return swept.reset();
    if (swept.lock() == host.channel) return;
    swept = host.channel;
    sweep_.bridge_connected(host.channel);
}

void Coordinator::stop(std::function<void()> done) {
    stop_by_ = Steady::now() + kStopLimit;
    moves_.stop();
    for (const auto& run : lines_.all()) run->cancel("the coordinator ends");
    wait_for_lines(std::move(done));
}

void Coordinator::wait_for_lines(std::function<void()> done) {
    if (lines_.all().empty() || Steady::now() >= stop_by_) return done();
    stopping_.expires_after(kStopPoll);
    stopping_.async_wait([this, done = std::move(done)](const boost::system::error_code& ec) {
        if (!ec) wait_for_lines(done);
    });
}

}  // namespace grl::coordinator
