// A connection's opening and what follows it, on loopback: a client's bytes at our server and a server's at our
// client (first byte odd). MUNGE is replaced by one that anybody can write: "UID ORIGIN PAYLOAD", and nonces are all
// the same, so that the search gets past them.
#include "grl/wire/handshake.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <thread>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "grl/wire/credential.h"
#include "tests/fuzz/input.h"

namespace grl {

Result<std::string> make_credential(const std::string& payload, const std::string&,
                                    std::optional<std::uint32_t>) {
    return "0 10.0.0.1 " + payload;
}

Result<Claim> read_credential(const std::string& credential, const std::string&) {
    Claim claim;
    const auto first = credential.find(' ');
    const auto second = first == std::string::npos ? first : credential.find(' ', first + 1);
    if (second == std::string::npos) return fail("reading a credential", "", "it is none", ErrorKind::denied);
    std::from_chars(credential.data(), credential.data() + first, claim.uid);
    claim.origin = credential.substr(first + 1, second - first - 1);
    claim.payload = credential.substr(second + 1);
    return claim;
}

std::string make_nonce() {
    return "n";
}

}  // namespace grl

namespace {

using namespace grl;

constexpr Milliseconds kNever{60'000};

// No connection stands in TIME_WAIT: a port of ours is used again at once.
void forget(const Fd& socket) {
    const linger hard{1, 0};
    setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(port);
    return at;
}

struct Opened {
    std::shared_ptr<Channel> channel;
    int ended = 0;

    void take(const std::shared_ptr<Channel>& c) {
        channel = c;
        channel->set_handlers({[](const std::string&, const json::object&) {},
                               [](const std::string&, const json::object&, Channel::Responder r) { r.reply(Done{}); },
                               [this](const Error&) { ++ended; }});
        channel->request_raw("status", {}, kNever, [](const Result<json::object>&) {});
        channel->start();
    }
};

void server(std::string_view text) {
    asio::io_context io;
    Opened opened;
    bool over = false;
    auto acceptor = Acceptor::listen(io, {"127.0.0.1", 0}, "", [&](auto channel, Peer peer) {
        fuzz::must(peer.role.find_first_of(" \n/") == std::string::npos);
        fuzz::must(peer.name.find_first_of(" \n") == std::string::npos);
        opened.take(channel);
    });
    fuzz::must(bool(acceptor));
    Fd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in at = loopback((*acceptor)->port());
    fuzz::must(connect(client.get(), reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
    const ssize_t n = send(client.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
    shutdown(client.get(), SHUT_WR);
    forget(client);
    // Until our end has closed it.
    asio::ip::tcp::socket ours(io, asio::ip::tcp::v4(), client.release());
    std::string heard(4096, '\0');
    std::function<void()> listen = [&] {
        ours.async_read_some(asio::buffer(heard), [&](boost::system::error_code ec, std::size_t) {
            if (ec) return over = true, void();
            listen();
        });
    };
    listen();
    while (!over && io.run_one_for(std::chrono::seconds(10)) != 0) {
    }
    fuzz::must(over);
    boost::system::error_code ignored;
    ours.close(ignored);
    acceptor->reset();
    io.poll();
}

void client(std::string_view text) {
    static const std::pair<int, std::uint16_t> at = [] {
        const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in name = loopback(0);
        socklen_t size = sizeof name;
        fuzz::must(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0 && listen(fd, 8) == 0);
        getsockname(fd, reinterpret_cast<sockaddr*>(&name), &size);
        return std::pair{fd, ntohs(name.sin_port)};
    }();
    asio::io_context io;
    Opened opened;
    int done = 0;
    ConnectOptions options;
    options.server = {"127.0.0.1", at.second};
    options.role = "bridge";
    options.name = "h1";
    options.limit = kNever;
    connect_channel(io, options, [&](Result<std::shared_ptr<Channel>> channel) {
        ++done;
        if (channel) opened.take(*channel);
    });
    std::thread peer([&] {
        Fd end(accept4(at.first, nullptr, nullptr, SOCK_CLOEXEC));
        const ssize_t n = send(end.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)n;
        shutdown(end.get(), SHUT_WR);
        char buffer[4096];
        while (read(end.get(), buffer, sizeof buffer) > 0) {
        }
        forget(end);
    });
    while ((done == 0 || (opened.channel && opened.ended == 0)) &&
           io.run_one_for(std::chrono::seconds(10)) != 0) {
    }
    fuzz::must(done == 1);
    peer.join();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    static const bool quiet = [] {
        log_start("fuzz", LogLevel::error);
        return true;
    }();
    (void)quiet;
    if (size == 0) return 0;
    const std::string_view text = fuzz::text_of(bytes + 1, size - 1);
    bytes[0] % 2 ? client(text) : server(text);
    return 0;
}
