// A guest's stream between two bridges under TLS 1.3 with a key that both got through MUNGE
// (grl/wire/handshake.h): what crosses the network is nobody's to read or to change.
//
// Threads: one of its own a stream, which ends with it; a VMM's gigabytes are not the io_context's.
// Errors: the plain end closes early, as if the other host had gone, and the reason is logged.
#pragma once

#include <string>

#include "grl/base/file.h"
#include "grl/base/result.h"

namespace grl::bridge {

// A connection to another host's bridge, for one guest's move.
struct OpenedStream {
    Fd socket;
    std::string secret;  // that both ends know; empty: none was told
};

enum class SealedEnd { sender, receiver };

// The end to use of a move's stream: sealed if the order says so, else the connection itself. An order and a
// secret that do not fit each other are refused, so that no end takes the other's for what it is not.
Result<Fd> move_stream(OpenedStream network, SealedEnd end, bool encrypted);

// Gives the end to use in place of its socket. The secret must have at least 32 bytes.
Result<Fd> seal_stream(OpenedStream network, SealedEnd end);

}  // namespace grl::bridge
