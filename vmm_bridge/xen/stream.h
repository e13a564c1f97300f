// What stands before libxenlight's bytes in a Xen guest's stream: the configuration of its domain,
// so that the stream alone is enough on a host that has never seen the guest.
//
//     8 bytes   GRLXENDC
//     4         version: 1
//     4         n, the length of the configuration; at most 1 MiB
//     n         the configuration, as libxenlight writes it in JSON
//     …         libxenlight's stream, version 2
//
// Numbers are unsigned and little-endian.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "grl/base/file.h"
#include "vmm_bridge/base/async.h"

namespace grl::bridge {

namespace asio = boost::asio;

inline constexpr std::size_t kXenHeadBytes = 16;

Result<std::string> encode_xen_head(const std::string& configuration);
// Of the first kXenHeadBytes: how long the configuration is.
Result<std::size_t> decode_xen_head(std::string_view head);

// Blocks for no longer than a copy of some KiB takes: a stream that does not hold it is an error.
Result<void> write_xen_head(const Fd& stream, const std::string& configuration);

struct XenStream {
    std::string configuration;
    Fd stream;  // at libxenlight's first byte; blocking
};
// Reads the head and no byte more, and waits until libxenlight's first bytes are there and good;
// `limit` is for the whole of it. On the io_context's thread.
void read_xen_head(asio::io_context& io, Fd stream, std::chrono::milliseconds limit,
                   Callback<std::shared_ptr<XenStream>> done);

}  // namespace grl::bridge
