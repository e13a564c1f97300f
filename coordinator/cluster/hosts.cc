#include "coordinator/cluster/hosts.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

template <class Message>
void deliver(const Host& host, const json::object& body,
             const std::function<void(const Host&, const Message&)>& handler) {
    auto message = from_json<Message>(body, Message::kType);
    if (!message) return log_warning("from bridge " + host.name + ": " + message.error().text());
    if (handler) handler(host, *message);
}

}  // namespace

bool is_here(GuestState state) {
    return state == GuestState::running || state == GuestState::paused ||
           state == GuestState::starting;
}

bool holds_state(GuestState state) {
    return state != GuestState::absent && state != GuestState::lost;
}

Hosts::Hosts(asio::io_context& io, const Deadlines& deadlines)
    : io_(io), deadlines_(deadlines), watch_(io) {
    watch();
}

Hosts::~Hosts() {
    close(fail("coordinating", "", "the coordinator ends"));
}

void Hosts::close(const Error& why) {
    watch_.cancel();
    for (auto& [name, host] : hosts_) {
        if (auto channel = std::exchange(host.channel, nullptr)) channel->close(why);
    }
}

void Hosts::accept(std::shared_ptr<Channel> channel, const Peer& peer) {
    auto refuse = [&](const std::string& why) {
        log_warning("refused bridge " + peer.name + " from " + peer.origin + ": " + why);
        channel->close(fail("accepting a bridge", peer.name, why, ErrorKind::denied));
    };
    if (peer.role != "bridge") return refuse("its role is " + peer.role);
    if (!valid_name(peer.name)) return refuse("no valid host name");
    Host& host = hosts_[peer.name];
    host.name = peer.name;
    if (host.channel && host.channel->is_open()) {
        // A host may come back before its old connection has been found dead; another may not.
        if (host.origin != peer.origin) return refuse(host.origin + " has that name");
        auto old = std::exchange(host.channel, nullptr);
        old->close(fail("serving bridge " + peer.name, "", "it has connected anew"), true);
        gone(peer.name, fail("serving bridge " + peer.name, "", "it has connected anew"));
    }
    host.origin = peer.origin;
    host.channel = channel;
    host.reported = false;
    host.answered_at = Steady::now();
    channel->set_handlers({
        .event = [this, name = peer.name](const std::string& type,
                                          const json::object& body) { take(name, type, body); },
        .request =
            [this, name = peer.name](const std::string& type, const json::object& body,
                                     Channel::Responder responder) {
                take(name, type, body);
                responder.reply(Done{});
            },
        .closed = [this, name = peer.name](const Error& why) { gone(name, why); },
    });
    channel->start();
}

void Hosts::take(const std::string& name, const std::string& type, const json::object& body) {
    Host& host = hosts_[name];
    host.answered_at = Steady::now();
    if (type == Inventory::kType) return inventory(host, body);
    if (type == GuestDied::kType) return guest_died(host, body);
    if (type == LineProgress::kType) return deliver(host, body, handlers_.line_progress);
    if (type == GuestDurable::kType) return deliver(host, body, handlers_.guest_durable);
    if (type == GuestFailed::kType) return deliver(host, body, handlers_.guest_failed);
    if (type == MoveProgress::kType) return deliver(host, body, handlers_.move_progress);
    if (type != Heartbeat::kType) log_warning("bridge " + name + " sent an unknown " + type);
}

void Hosts::inventory(Host& host, const json::object& body) {
    auto inventory = from_json<Inventory>(body, Inventory::kType);
    if (!inventory) {
        return log_warning("from bridge " + host.name + ": " + inventory.error().text());
    }
    host.inventory = std::move(*inventory);
    host.lost = false;
    host.fenced = false;
    const bool first = !std::exchange(host.reported, true);
    if (first) {
        log_info("host " + host.name + " is here: " + host.inventory.vmm_version + ", " +
                 std::to_string(host.inventory.memory_free_mib) + " of " +
                 std::to_string(host.inventory.memory_mib) + " MiB free");
    }
    const auto& handler = first ? handlers_.connected : handlers_.changed;
    if (handler) handler(host);
}

void Hosts::gone(const std::string& name, const Error& why) {
    Host& host = hosts_[name];
    host.channel.reset();
    host.reported = false;
    host.away_since = Steady::now();
    log_warning("host " + name + " is away: " + why.why);
    if (handlers_.away) handlers_.away(host, why);
}

void Hosts::guest_died(Host& host, const json::object& body) {
    auto died = from_json<GuestDied>(body, GuestDied::kType);
    if (!died) return log_warning("from bridge " + host.name + ": " + died.error().text());
    for (GuestInfo& g : host.inventory.guests) {
        if (g.name == died->guest) g.state = GuestState::lost;
    }
    log_warning("guest " + died->guest + " died on " + host.name + ": " + died->reason);
    if (handlers_.guest_died) handlers_.guest_died(host, *died);
}

// Asks every bridge for a sign of life; any answer is one, also that it does not know the question.
void Hosts::watch() {
    const Milliseconds lost_after(deadlines_.bridge_lost_ms);
    const Milliseconds period = std::max(Milliseconds(50), lost_after / 5);
    watch_.expires_after(period);
    watch_.async_wait([this, lost_after](const boost::system::error_code& ec) {
        if (ec) return;
        const auto now = Steady::now();
        std::vector<std::string> silent;
        for (auto& [name, host] : hosts_) {
            if (!host.channel) {
                if (!host.lost && now - host.away_since >= lost_after) {
                    host.lost = true;
                    log_warning("host " + name + " is lost");
                }
                continue;
            }
            if (now - host.answered_at >= 2 * lost_after) {
                silent.push_back(name);
                continue;
            }
            host.channel->request_raw(
                Heartbeat::kType, {}, 2 * lost_after,
                [this, name = name, channel = std::weak_ptr<Channel>(host.channel)](
                    const Result<json::object>& answer) {
                    auto it = hosts_.find(name);
                    const bool alive = answer || answer.error().kind != ErrorKind::unreachable;
                    if (alive && it != hosts_.end() && it->second.channel == channel.lock()) {
                        it->second.answered_at = Steady::now();
                    }
                });
        }
        for (const std::string& name : silent) {
            const Error why = fail("serving bridge " + name, "", "it does not answer");
            auto channel = std::exchange(hosts_[name].channel, nullptr);
            channel->close(why, true);
            gone(name, why);
        }
        watch();
    });
}

const Host* Hosts::find(const std::string& name) const {
    auto it = hosts_.find(name);
    return it == hosts_.end() ? nullptr : &it->second;
}

std::vector<const Host*> Hosts::connected() const {
    std::vector<const Host*> list;
    for (const auto& [name, host] : hosts_) {
        if (host.connected()) list.push_back(&host);
    }
    return list;
}

std::vector<const Host*> Hosts::with_store() const {
    auto list = connected();
    std::erase_if(list, [this](const Host* host) { return !sees_store(*host); });
    return list;
}

std::string Hosts::store_fault(const Host& host) const {
    if (sees_store(host)) return {};
    const bool none = host.inventory.store.empty();
    const std::string place =
        host.name + ": " + host.inventory.image_dir + " is not the cluster's checkpoint directory ";
    if (!none && store_.empty()) return host.name + ": the catalog has not been read yet";
    if (!none) return place + "(it has another's marker): mount the right one";
    return place + "(no marker): mount it" +
           (store_.empty() ? ", or on first use: grl-bridge --init-store" : "");
}

std::vector<const Host*> Hosts::hosts_of(const std::string& guest) const {
    std::vector<const Host*> list;
    for (const Host* host : connected()) {
        for (const GuestInfo& g : host->inventory.guests) {
            if (g.name == guest && holds_state(g.state)) list.push_back(host);
        }
    }
    return list;
}

GuestState Hosts::state_on(const Host& host, const std::string& guest) {
    for (const GuestInfo& g : host.inventory.guests) {
        if (g.name == guest) return g.state;
    }
    return GuestState::absent;
}

std::vector<const Host*> Hosts::homes_of(const std::string& guest) const {
    auto here = hosts_of(guest);
    std::erase_if(here, [&](const Host* host) { return !is_here(state_on(*host, guest)); });
    return here;
}

Result<const Host*> Hosts::home_of(const std::string& guest) const {
    auto no = [&](const std::string& why) {
        return fail("finding guest " + guest, "", why, ErrorKind::refused);
    };
    const auto here = homes_of(guest);
    if (here.size() > 1) {
        return no("guest " + guest + " is on " + here[0]->name + " and on " + here[1]->name +
                  ": grlctl stop " + guest + " HOST stops one");
    }
    if (here.empty()) {
        for (const auto& [name, host] : hosts_) {
            for (const GuestInfo& g : host.inventory.guests) {
                if (g.name != guest || !is_here(g.state) || host.connected()) continue;
                return no("guest " + guest + " was on " + name + ", which is " +
                          (host.lost ? "lost" : "away"));
            }
        }
        return no(definition_of(guest) ? "guest " + guest + " runs on no connected host"
                                       : guest + " is no guest of a connected host");
    }
    const GuestState state = state_on(*here[0], guest);
    if (state != GuestState::running) {
        return no("guest " + guest + " is " + name_of(state) + " on " + here[0]->name);
    }
    return here[0];
}

std::set<std::string> Hosts::may_run_on(const std::string& guest) const {
    std::set<std::string> list;
    for (const auto& [name, host] : hosts_) {
        if (host.connected() || host.fenced) continue;
        if (is_here(state_on(host, guest))) list.insert(name);
    }
    return list;
}

const GuestInfo* Hosts::definition_of(const std::string& guest) const {
    for (const Host* host : connected()) {
        for (const GuestInfo& g : host->inventory.guests) {
            if (g.name == guest) return &g;
        }
    }
    return nullptr;
}

bool Hosts::is_guest_address(const std::string& address) const {
    for (const auto& [name, host] : hosts_) {
        for (const GuestInfo& g : host.inventory.guests) {
            if (g.address == address) return true;
        }
    }
    return false;
}

HostCondition Hosts::condition(const std::string& name) const {
    const Host* host = find(name);
    if (!host) {
        // Its bridge may try again only now and then, and it was not us whom it lost.
        const bool late = Steady::now() - began_ >= 4 * Milliseconds(deadlines_.bridge_lost_ms);
        return late ? HostCondition::lost : HostCondition::away;
    }
    if (host->connected()) return HostCondition::connected;
    if (host->fenced) return HostCondition::fenced;
    return host->lost ? HostCondition::lost : HostCondition::away;
}

bool Hosts::mark_fenced(const std::string& name) {
    Host& host = hosts_[name];
    if (host.channel) return false;
    host.name = name;
    host.lost = true;
    host.fenced = true;
    for (GuestInfo& g : host.inventory.guests) g.state = GuestState::absent;
    return true;
}

}  // namespace grl::coordinator
