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
      sweep_(io, store_, config_.cluster, [this] { return lines_.active(); }),
      parts_{io, config_, hosts_, steps_, *slurm_, store_, sweep_, room_},
      lines_(parts_),
      holds_(parts_, lines_),
      restores_(parts_, lines_),
      moves_(parts_, lines_),
      drains_(parts_, moves_),
      masters_(parts_, lines_, restores_),
      control_(parts_, lines_, holds_, restores_, moves_),
      bridge_uid_(uid_of(config_.coordinator.bridge_user)),
      stopping_(io) {
    moves_.placed = [this](const std::string& guest) { places_.erase(guest); };
    watch_hosts();
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
        note_places(host);
        sweep_.bridge_connected(host.channel);
        moves_.settle();
    };
    handlers.changed = [this](const Host& host) {
        note_places(host);
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

// On disk, as a host may be lost while the coordinator is away, too.
void Coordinator::note_places(const Host& host) {
    for (const GuestInfo& g : host.inventory.guests) {
        if (g.state != GuestState::running && g.state != GuestState::paused &&
            g.state != GuestState::starting) {
            continue;
        }
        if (std::exchange(places_[g.name], host.name) == host.name) continue;
        store_.note(
            [guest = g.name, name = host.name](Catalog& c) { return c.put_place(guest, name); });
    }
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
