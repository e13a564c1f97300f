// Carries a guest's state from its VMM to another host, and holds it back when told to.
//
//     flowing ◄── hold, go_on ──► held       flowing ── the VMM's end ──► ended
//     any ── close ──► ended: the VMM's next write fails
//     any ── the network's error, discard ──► discarding: the VMM may write to its end, to nowhere
//
// A VMM that has stopped its guest for good is best let come to its end: QEMU 7.2 has been seen to
// crash, and to start the guest late, when the last of a stream could not be written.
//
// Threads: the io_context's, which the VMM's events come on, too: what comes behind an event is
// held back. Ownership: shared. The bytes are nobody's here but the VMM's: none is looked at.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "grl/base/file.h"
#include "grl/messages/opening.h"
#include "grl/wire/channel.h"
#include "vmm_bridge/base/async.h"

namespace grl::bridge {

class StreamPump : public std::enable_shared_from_this<StreamPump> {
  public:
    // `vmm` is a unix socket, `network` a TCP one. `ended` comes once, unless close() comes first.
    StreamPump(asio::io_context& io, Fd vmm, Fd network, Callback<Done> ended);

    void start() { next(); }
    void hold();
    void go_on();
    void discard();
    void close();

    std::uint64_t bytes() const { return bytes_; }  // given to the network

  private:
    void next();
    void send(std::size_t size);
    void network_failed(const std::string& why);
    void end(Result<Done> outcome);

    Stream vmm_;
    Stream network_;
    Callback<Done> ended_;
    std::vector<char> buffer_;
    std::uint64_t bytes_ = 0;
    bool held_ = false;
    bool discards_ = false;
    bool closed_ = false;
    bool waiting_ = false;  // for bytes, or for the network to take them
};

}  // namespace grl::bridge
