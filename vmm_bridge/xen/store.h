// What the bridge itself reads and writes in xenstore.
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
#include <functional>
#include <memory>
#include <string>

#include "grl/base/result.h"

struct xs_handle;

namespace grl::bridge {

namespace asio = boost::asio;

struct CloseXenStore {
    void operator()(xs_handle* handle) const;
};

// What stands at a path there; empty also if nothing does.
std::string read_xenstore(xs_handle* store, const std::string& path);

// One path there.
class XenWord : public std::enable_shared_from_this<XenWord> {
  public:
    static Result<std::shared_ptr<XenWord>> open(asio::io_context& io, const std::string& path);

    // Called once now and whenever it may have changed, as long as this lives.
    void watch(std::function<void()> changed);
    std::string read() const { return read_xenstore(store_.get(), path_); }
    void write(const std::string& text);

  private:
    XenWord(asio::io_context& io, std::string path) : path_(std::move(path)), readable_(io) {}
    void wait();

    std::unique_ptr<xs_handle, CloseXenStore> store_;
    std::string path_;
    asio::posix::stream_descriptor readable_;
    std::function<void()> changed_;
};

// Takes the request to suspend away from one domain, whenever one comes, until it is destroyed.
class SuspendAnswer {
  public:
    static Result<std::shared_ptr<SuspendAnswer>> open(asio::io_context& io, std::uint32_t domain);

    // Now, if there is one.
    void take_away();

  private:
    explicit SuspendAnswer(std::shared_ptr<XenWord> request) : request_(std::move(request)) {}

    std::shared_ptr<XenWord> request_;
};

}  // namespace grl::bridge
