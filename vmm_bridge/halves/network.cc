#include "vmm_bridge/halves/network.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/wire/channel.h"
#include "grl/wire/handshake.h"
#include "vmm_bridge/halves/confinement.h"
#include "vmm_bridge/halves/link.h"
#include "vmm_bridge/halves/privileges.h"
#include "vmm_bridge/halves/relay.h"
#include "vmm_bridge/halves/stream_opener.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kFirstWait{200};
constexpr Milliseconds kLastWait{1'000};  // well below bridge_lost_ms
constexpr Milliseconds kReportLimit{60'000};
// Longer than anything the coordinator waits for: its deadline is the one that counts.
constexpr Milliseconds kRequestLimit{26 * 3'600'000};

class NetworkHalf {
  public:
    NetworkHalf(asio::io_context& io, const BridgeConfig& config, Endpoint server, Stream peer,
                Fd streams)
        : io_(io),
          config_(config),
          server_(std::move(server)),
          privileged_(std::make_shared<Channel>(std::move(peer), "privileged half")),
          opener_(io, config, std::move(streams)),
          retry_(io) {}

    void start() {
        privileged_->set_handlers(
            {[this](const std::string& type, const json::object& body) { on_event(type, body); },
             {},
             [this](const Error&) {
                 // One that never came up has said why.
                 if (was_connected_) log_warning("the privileged half has ended, so does this one");
                 io_.stop();
             }});
        privileged_->start();
        connect();
    }

  private:
    void connect() {
        ConnectOptions options;
        options.server = server_;
        options.munge_socket = config_.bridge.munge_socket;
        options.role = "bridge";
        options.name = config_.bridge.host;
        connect_channel(io_, options, [this](Result<std::shared_ptr<Channel>> channel) {
            channel ? on_connected(*channel) : on_lost(channel.error());
        });
    }

    void on_connected(std::shared_ptr<Channel> channel) {
        coordinator_ = std::move(channel);
        was_connected_ = true;
        coordinator_->set_handlers(
            {[](const std::string& type, const json::object&) {
                 log_warning("the coordinator sends \"" + type + "\" without wanting a reply");
             },
             [this](const std::string& type, const json::object& body, Channel::Responder reply) {
                 on_request(type, body, std::move(reply));
             },
             [this](const Error& error) { on_lost(error); }});
        coordinator_->start();
        wait_ = kFirstWait;
        last_error_.clear();
        reported_ = false;
        privileged_->send(LinkUp{});
    }

    // Only once the coordinator has the first inventory may it be asked for something here.
    Result<void> report(const json::object& body) {
        auto inventory = from_json<Inventory>(body, Inventory::kType);
        if (!inventory) return inventory.error();
        reported_ = true;
        coordinator_->request<Done>(*inventory, kReportLimit, [this](const Result<Done>& taken) {
            if (!taken) return log_warning(taken.error().text());
            log_info("ready: connected to the coordinator at " + config_.bridge.coordinator +
                     " as " + config_.bridge.host);
        });
        return {};
    }

    void on_request(const std::string& type, const json::object& body, Channel::Responder reply) {
        if (!relayed_request(type)) {
            log_warning("the coordinator asks for \"" + type + "\", which may not pass");
            return reply.error(fail("taking a request", config_.bridge.host,
                                    "there is no such verb: " + type, ErrorKind::protocol));
        }
        auto shared = std::make_shared<Channel::Responder>(std::move(reply));
        if (type == ReceiveGuest::kType) return receive_guest(body, shared);
        if (type == SendGuest::kType) return send_guest(body, shared);
        relay(type, body, shared);
    }

    using Asker = std::shared_ptr<Channel::Responder>;

    void relay(const std::string& type, const json::object& body, const Asker& asker) {
        privileged_->request_raw(
            type, body, kRequestLimit,
            [asker](Result<json::object> outcome) {
                outcome ? asker->reply(*outcome) : asker->error(outcome.error());
            },
            [asker](const json::object& progress) { asker->progress(progress); });
    }

    // The guest is awaited there before its stream is here.
    void receive_guest(const json::object& body, const Asker& asker) {
        auto ask = from_json<ReceiveGuest>(body, ReceiveGuest::kType);
        if (!ask) return asker->error(ask.error());
        privileged_->request<Done>(*ask, kRequestLimit, [this, ask = *ask, asker](Result<Done> r) {
            if (!r) return asker->error(r.error());
            const std::string here = coordinator_ ? coordinator_->local_address() : "";
            Result<std::string> address = opener_.expect(ask.token, here);
            if (!address) return asker->error(address.error());
            asker->reply(Receiving{*address});
        });
    }

    void send_guest(const json::object& body, const Asker& asker) {
        auto ask = from_json<SendGuest>(body, SendGuest::kType);
        if (!ask) return asker->error(ask.error());
        opener_.open(ask->token, ask->address, ask->encrypted,
                     [this, body, asker](Result<Done> opened) {
                         if (!opened) return asker->error(opened.error());
                         relay(SendGuest::kType, body, asker);
                     });
    }

    void on_event(const std::string& type, const json::object& body) {
        if (!coordinator_) return;  // told anew by an inventory when it is back
        Result<void> relayed = !reported_ && type == Inventory::kType
                                   ? report(body)
                                   : relay_event(*coordinator_, type, body);
        if (!relayed) log_error(relayed.error().text());
    }

    void on_lost(const Error& error) {
        if (coordinator_) privileged_->send(LinkDown{});
        coordinator_.reset();
        // Once for each new reason, not for each attempt.
        if (error.text() != last_error_) {
            log_warning("no connection to the coordinator, trying again: " + error.text());
            last_error_ = error.text();
        }
        retry_.expires_after(wait_);
        wait_ = std::min(wait_ * 2, kLastWait);
        retry_.async_wait([this](boost::system::error_code ec) {
            if (!ec) connect();
        });
    }

    asio::io_context& io_;
    const BridgeConfig& config_;
    Endpoint server_;
    std::shared_ptr<Channel> privileged_;
    std::shared_ptr<Channel> coordinator_;
    StreamOpener opener_;
    asio::steady_timer retry_;
    bool was_connected_ = false;
    bool reported_ = false;  // the coordinator has been told what is here
    Milliseconds wait_ = kFirstWait;
    std::string last_error_;
};

}  // namespace

int run_network_half(const BridgeConfig& config, Fd peer, Fd streams) {
    Result<Endpoint> server = parse_endpoint(config.bridge.coordinator);
    Result<void> ready;
    if (!server) {
        ready = server.error();
    } else {
        ready = drop_privileges(config.bridge.user);
        if (ready) ready = confine_network_half();
    }
    if (!ready) {
        log_error(ready.error().text());
        return 1;
    }
    asio::io_context io(1);
    Stream stream(io, asio::generic::stream_protocol(AF_UNIX, 0), peer.release());
    NetworkHalf half(io, config, *server, std::move(stream), std::move(streams));
    half.start();
    io.run();
    return 1;
}

}  // namespace grl::bridge
