// The one word that the bridge itself writes into xenstore.
//
// libxenlight asks a guest to suspend by a word in xenstore, waits until the guest has taken it
// away, and then until the guest is suspended. A guest that was suspended before takes nothing
// away, so this does it in its place: the save of a guest that is stopped already then goes on at
// once.
//
// Threads: the io_context's; a word with xenstored blocks for its answer, as in libxenlight itself.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cstdint>
#include <memory>
#include <string>

#include "grl/result.h"

struct xs_handle;

namespace grl::bridge {

namespace asio = boost::asio;

// Takes the request to suspend away from one domain, whenever one comes, until it is destroyed.
class SuspendAnswer : public std::enable_shared_from_this<SuspendAnswer> {
  public:
    static Result<std::shared_ptr<SuspendAnswer>> open(asio::io_context& io, std::uint32_t domain);

    // Now, if there is one.
    void take_away();

  private:
    struct Close {
        void operator()(xs_handle* handle) const;
    };
    explicit SuspendAnswer(asio::io_context& io) : readable_(io) {}
    void wait();

    std::unique_ptr<xs_handle, Close> store_;
    std::string path_;
    asio::posix::stream_descriptor readable_;
};

}  // namespace grl::bridge
