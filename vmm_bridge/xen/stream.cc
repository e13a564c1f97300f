#include "vmm_bridge/xen/stream.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>

namespace grl::bridge {

namespace {

constexpr std::string_view kXenMagic = "GRLXENDC";
constexpr std::uint32_t kXenHeadVersion = 1;
constexpr std::size_t kMaxConfiguration = 1U << 20;
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kLengthAt = 12;
constexpr unsigned kByteBits = 8;
// libxenlight's header (version 2, no options) and the head of the first record: its helper's turn.
constexpr std::string_view kPrelude("LibxlFmt\0\0\0\2\0\0\0\0\1\0\0\0\0\0\0\0", 24);
constexpr std::chrono::milliseconds kLookAgain{2};

void put_number(std::string& out, std::uint32_t number) {
    for (unsigned i = 0; i < 4; ++i) out += static_cast<char>(number >> (kByteBits * i) & 0xFFU);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at) {
    std::uint32_t number = 0;
    for (unsigned i = 0; i < 4; ++i) {
        number |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i]))
                  << (kByteBits * i);
    }
    return number;
}

Error off(const std::string& why) {
    return fail("reading a Xen guest's stream", "", why, ErrorKind::protocol);
}

struct HeadReader : std::enable_shared_from_this<HeadReader> {
    HeadReader(asio::io_context& io, Fd s, std::chrono::milliseconds limit)
        : stream(io, s.release()), deadline(io, limit), again(io) {}

    asio::posix::stream_descriptor stream;
    asio::steady_timer deadline;
    asio::steady_timer again;
    bool late = false;
    std::string bytes;
    Callback<std::shared_ptr<XenStream>> done;

    void start() {
        deadline.async_wait([self = shared_from_this()](boost::system::error_code ec) {
            if (ec) return;
            self->late = true;
            self->stream.cancel();
        });
        read(kXenHeadBytes, [self = shared_from_this()] {
            Result<std::size_t> length = decode_xen_head(self->bytes);
            if (!length) return self->end(length.error());
            self->read(*length, [self] { self->look(); });
        });
    }
    void read(std::size_t count, std::function<void()> next) {
        bytes.assign(count, '\0');
        asio::async_read(stream, asio::buffer(bytes),
                         [self = shared_from_this(), next = std::move(next)](
                             boost::system::error_code ec, std::size_t) {
                             if (!ec && !self->late) return next();
                             self->end(off(self->late ? "its head did not come in time"
                                                      : "it ends in its head: " + ec.message()));
                         });
    }
    // libxenlight 4.17 calls nothing at all (a null pointer) when its stream fails before its
    // helper runs: so it gets only one whose beginning is here, and good.
    void look() {
        stream.async_wait(
            asio::posix::stream_descriptor::wait_read,
            [self = shared_from_this()](boost::system::error_code ec) {
                if (self->late) {
                    return self->end(off("libxenlight's part of it did not come in time"));
                }
                pollfd peer{self->stream.native_handle(), POLLIN | POLLRDHUP, 0};
                poll(&peer, 1, 0);
                const bool broken = ec || (peer.revents & POLLERR) != 0;
                const bool over = (peer.revents & (POLLRDHUP | POLLHUP)) != 0;
                std::array<char, kPrelude.size()> got{};
                const ssize_t n = recv(peer.fd, got.data(), got.size(), MSG_PEEK | MSG_DONTWAIT);
                const bool whole = n == std::ssize(got);
                if (broken || n <= 0 || (over && !whole)) {
                    return self->end(off("it ends after its head"));
                }
                if (whole && kPrelude == std::string_view(got.data(), got.size())) {
                    return self->give();
                }
                if (whole) return self->end(off("what follows its head is not libxenlight's"));
                self->again.expires_after(kLookAgain);  // the rest is a write behind
                self->again.async_wait([self](boost::system::error_code) { self->look(); });
            });
    }
    void give() {
        auto read = std::make_shared<XenStream>();
        read->configuration = std::move(bytes);
        read->stream = Fd(stream.release());
        // Asio has made it non-blocking, which libxenlight's helper does not expect.
        const int flags = fcntl(read->stream.get(), F_GETFL);
        fcntl(read->stream.get(), F_SETFL, flags & ~O_NONBLOCK);
        end(std::move(read));
    }
    void end(Result<std::shared_ptr<XenStream>> outcome) {
        deadline.cancel();
        done(std::move(outcome));
    }
};

}  // namespace

Result<std::string> encode_xen_head(const std::string& configuration) {
    if (configuration.size() > kMaxConfiguration) {
        return fail("writing a Xen guest's stream", "", "its configuration is too long");
    }
    std::string head(kXenMagic);
    put_number(head, kXenHeadVersion);
    put_number(head, static_cast<std::uint32_t>(configuration.size()));
    return head + configuration;
}

Result<std::size_t> decode_xen_head(std::string_view head) {
    if (head.size() != kXenHeadBytes || !head.starts_with(kXenMagic)) {
        return off("it does not begin as one");
    }
    if (const std::uint32_t version = number_at(head, kVersionAt); version != kXenHeadVersion) {
        return off("it is of version " + std::to_string(version) + "; this release reads 1");
    }
    const std::size_t length = number_at(head, kLengthAt);
    if (length == 0 || length > kMaxConfiguration) {
        return off("its configuration would have " + std::to_string(length) + " bytes");
    }
    return length;
}

Result<void> write_xen_head(const Fd& stream, const std::string& configuration) {
    Result<std::string> head = encode_xen_head(configuration);
    if (!head) return head.error();
    const ssize_t n = send(stream.get(), head->data(), head->size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == static_cast<ssize_t>(head->size())) return {};
    return fail("writing a Xen guest's stream", "", n < 0 ? errno_text(errno) : "it is full");
}

void read_xen_head(asio::io_context& io, Fd stream, std::chrono::milliseconds limit,
                   Callback<std::shared_ptr<XenStream>> done) {
    auto reader = std::make_shared<HeadReader>(io, std::move(stream), limit);
    reader->done = std::move(done);
    reader->start();
}

}  // namespace grl::bridge
