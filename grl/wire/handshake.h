// How a connection is opened: challenge, hello, welcome (grl/messages/opening.h). Both sides prove with MUNGE
// who they are and that the proof is for this connection: each credential carries the other's nonce.
//
// Whoever holds the realm's MUNGE key can speak in it; uid and address of a peer are MUNGE's word.
// Between hosts and coordinator the key is the hosts' own, which guests do not have.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <string>

#include "grl/wire/channel.h"

namespace grl {

struct Peer {
    std::string role;     // bridge, master, ctl, check
    std::string name;     // as the peer calls itself
    std::uint32_t uid = 0;
    std::string origin;   // the address MUNGE saw the credential made at
    std::string address;  // the address the connection comes from
    std::string secret = {};  // what the peer told in its credential; empty if nothing
};

// "host:port" with an IPv4 address or a name that resolves at once (/etc/hosts).
struct Endpoint {
    std::string host;
    std::uint16_t port = 0;
};
Result<Endpoint> parse_endpoint(const std::string& text);

struct ConnectOptions {
    Endpoint server;
    std::string munge_socket;  // empty: MUNGE's default
    std::string role;
    std::string name;
    Milliseconds limit{5000};
    // The server must be root or this user.
    std::uint32_t server_uid = 0;
    // For the server alone: only `server_uid` with the realm's key can read it. Without spaces.
    std::string secret = {};
};

// `done` gets an opened channel, not started. Encoding a credential blocks for about a millisecond.
void connect_channel(asio::io_context& io, ConnectOptions options,
                     std::function<void(Result<std::shared_ptr<Channel>>)> done);

// Listens until destroyed. `accepted` gets each peer that has proven itself; the others are logged
// and dropped. At most 256 handshakes are open at a time, each for 5 s. MUNGE is asked on threads of
// its own; the destructor waits for those of its calls that are under way.
class Acceptor {
  public:
    using Accepted = std::function<void(std::shared_ptr<Channel>, Peer)>;
    static Result<std::unique_ptr<Acceptor>> listen(asio::io_context& io, const Endpoint& endpoint,
                                                    std::string munge_socket, Accepted accepted);
    ~Acceptor();
    std::uint16_t port() const;

  private:
    struct State;
    explicit Acceptor(std::shared_ptr<State> state);
    std::shared_ptr<State> state_;
};

}  // namespace grl
