// The connections on which guests travel from host to host: opened and accepted in the half that
// has no rights, proven by MUNGE like all others (grl/wire/handshake.h), and handed to the half that
// has.
//
// It listens only while a stream is awaited, at the address from which the coordinator is reached.
// A stream is known by the token that the coordinator gave to both hosts. Threads: the
// io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>

#include "grl/base/file.h"
#include "grl/messages/opening.h"
#include "grl/wire/handshake.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/config.h"

namespace grl::bridge {

class StreamOpener {
  public:
    // `through` takes what is opened to the privileged half (fd_passing.h).
    StreamOpener(asio::io_context& io, const BridgeConfig& config, Fd through);

    // Awaits a stream for a while. Gives the address to connect to: HOST:PORT.
    Result<std::string> expect(const std::string& token, const std::string& address);
    // Opens one to another host, and hands it on; with a secret for both ends if `encrypted`.
    void open(const std::string& token, const std::string& address, bool encrypted,
              Callback<Done> done);

  private:
    void accepted(const std::shared_ptr<Channel>& channel, const Peer& peer);
    Result<Done> hand_on(const std::shared_ptr<Channel>& channel, const std::string& token,
                         const std::string& secret);
    void forget(const std::string& token);

    asio::io_context& io_;
    const BridgeConfig& config_;
    Fd through_;
    std::unique_ptr<Acceptor> acceptor_;
    std::map<std::string, std::unique_ptr<asio::steady_timer>> expected_;  // until when
};

}  // namespace grl::bridge
