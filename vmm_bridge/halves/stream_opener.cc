#include "vmm_bridge/halves/stream_opener.h"

#include <unistd.h>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "grl/wire/credential.h"
#include "vmm_bridge/base/fd_passing.h"

namespace grl::bridge {

namespace {

constexpr const char* kRole = "stream";
constexpr std::chrono::seconds kExpectLimit{30};

}  // namespace

StreamOpener::StreamOpener(asio::io_context& io, const BridgeConfig& config, Fd through)
    : io_(io), config_(config), through_(std::move(through)) {}

// ---- the target ----

Result<std::string> StreamOpener::expect(const std::string& token, const std::string& address) {
    if (!acceptor_) {
        auto listening = Acceptor::listen(io_, Endpoint{address, config_.bridge.move_port},
                                          config_.bridge.munge_socket,
                                          [this](const std::shared_ptr<Channel>& channel,
                                                 const Peer& peer) { accepted(channel, peer); });
        if (!listening) return listening.error();
        acceptor_ = std::move(*listening);
    }
    auto& until = expected_[token];
    until = std::make_unique<asio::steady_timer>(io_, kExpectLimit);
    until->async_wait([this, token](boost::system::error_code ec) {
        if (!ec) forget(token);
    });
    return address + ":" + std::to_string(acceptor_->port());
}

void StreamOpener::accepted(const std::shared_ptr<Channel>& channel, const Peer& peer) {
    std::string why;
    if (peer.role != kRole) why = "it is no stream, but " + peer.role;
    if (expected_.count(peer.name) == 0) why = "no such stream is awaited";
    // Anyone on a host can have the hosts' munged make a credential; only bridges may send.
    if (peer.uid != 0 && peer.uid != geteuid()) why = "uid " + std::to_string(peer.uid);
    if (why.empty()) {
        forget(peer.name);
        Result<Done> handed = hand_on(channel, peer.name, peer.secret);
        if (!handed) log_error(handed.error().text());
        return;
    }
    log_warning("refused a stream from " + peer.origin + ": " + why);
    channel->close(fail("accepting a stream", peer.origin, why, ErrorKind::denied));
}

void StreamOpener::forget(const std::string& token) {
    expected_.erase(token);
    if (!expected_.empty() || !acceptor_) return;
    // Not from inside its own callback.
    asio::post(io_, [this] {
        if (expected_.empty()) acceptor_.reset();
    });
}

// ---- the source ----

void StreamOpener::open(const std::string& token, const std::string& address, bool encrypted,
                        Callback<Done> done) {
    Result<Endpoint> server = parse_endpoint(address);
    if (!server) return done(server.error());
    ConnectOptions options;
    options.server = *server;
    options.munge_socket = config_.bridge.munge_socket;
    options.role = kRole;
    options.name = token;
    options.server_uid = geteuid();
    if (encrypted) options.secret = make_nonce() + make_nonce();
    connect_channel(io_, options,
                    [this, token, secret = options.secret,
                     done](Result<std::shared_ptr<Channel>> channel) {
                        if (!channel) return done(channel.error());
                        done(hand_on(*channel, token, secret));
                    });
}

Result<Done> StreamOpener::hand_on(const std::shared_ptr<Channel>& channel,
                                   const std::string& token, const std::string& secret) {
    Result<Fd> socket = channel->detach();
    if (!socket) return socket.error();
    Result<void> passed = pass_fd(through_.get(), socket->get(), token + " " + secret);
    if (!passed) return passed.error();
    return Done{};
}

}  // namespace grl::bridge
