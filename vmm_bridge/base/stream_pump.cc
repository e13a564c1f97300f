#include "vmm_bridge/base/stream_pump.h"

#include <sys/socket.h>

#include <boost/asio/write.hpp>

#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kPumpStep = 256U << 10;  // bytes

int family_of(const Fd& socket) {
    sockaddr_storage name{};
    socklen_t size = sizeof name;
    getsockname(socket.get(), reinterpret_cast<sockaddr*>(&name), &size);
    return name.ss_family;
}

Stream stream_of(asio::io_context& io, Fd socket) {
    const int family = family_of(socket);
    return Stream(io, asio::generic::stream_protocol(family, 0), socket.release());
}

}  // namespace

StreamPump::StreamPump(asio::io_context& io, Fd vmm, Fd network, Callback<Done> ended)
    : vmm_(stream_of(io, std::move(vmm))),
      network_(stream_of(io, std::move(network))),
      ended_(std::move(ended)),
      buffer_(kPumpStep) {}

void StreamPump::hold() {
    held_ = true;
    boost::system::error_code ignored;
    vmm_.cancel(ignored);  // a read that waits would take one step more
}

void StreamPump::go_on() {
    held_ = false;
    next();
}

void StreamPump::discard() {
    if (discards_ || closed_) return;
    discards_ = true;
    held_ = false;
    ended_ = nullptr;
    boost::system::error_code ignored;
    network_.close(ignored);
    next();
}

void StreamPump::next() {
    if (held_ || waiting_ || closed_) return;
    waiting_ = true;
    vmm_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](
                                                    boost::system::error_code ec, std::size_t n) {
        self->waiting_ = false;
        if (self->closed_) return;
        if (ec == asio::error::eof) return self->end(Done{});
        if (ec && ec != asio::error::operation_aborted) {
            return self->end(fail("sending a guest", "", "its VMM: " + ec.message()));
        }
        // What was read is sent, also when a hold has come meanwhile: it is of before it.
        ec || self->discards_ ? self->next() : self->send(n);
    });
}

void StreamPump::send(std::size_t size) {
    waiting_ = true;
    asio::async_write(network_, asio::buffer(buffer_.data(), size),
                      [self = shared_from_this(), size](boost::system::error_code ec, std::size_t) {
                          self->waiting_ = false;
                          if (self->closed_) return;
                          if (ec) return self->network_failed(ec.message());
                          self->bytes_ += size;
                          self->next();
                      });
}

void StreamPump::network_failed(const std::string& why) {
    auto ended = std::exchange(ended_, nullptr);
    discard();
    if (ended) {
        ended(fail("sending a guest", "", "the other host: " + why, ErrorKind::unreachable));
    }
    next();
}

void StreamPump::end(Result<Done> outcome) {
    auto ended = std::exchange(ended_, nullptr);
    close();
    if (ended) ended(std::move(outcome));
}

void StreamPump::close() {
    closed_ = true;
    ended_ = nullptr;
    boost::system::error_code ignored;
    network_.shutdown(asio::socket_base::shutdown_send, ignored);
    network_.close(ignored);
    vmm_.close(ignored);
}

}  // namespace grl::bridge
