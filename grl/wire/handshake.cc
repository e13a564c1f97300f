// client                                server
//   |--- connect --------------------------> |
//   | <-- challenge {nonce S} -------------- |
//   |--- hello {nonce C, cred(S, C, role)} -> |  checks uid, origin, both nonces
//   | <-- welcome {cred(C, S)} -------------- |
//   |  checks uid of the server              |
#include "grl/wire/handshake.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "grl/messages/opening.h"
#include "grl/wire/credential.h"

namespace grl {

namespace {

using tcp = asio::ip::tcp;

constexpr std::size_t kMaxHandshakes = 256;
constexpr Milliseconds kHandshakeLimit{5000};
constexpr Milliseconds kAcceptPause{100};
constexpr std::size_t kMungeThreads = 4;
constexpr std::size_t kMaxLogin = 256;
constexpr std::size_t kMaxOpeningFrame = 64U << 10;  // of a peer that has not proven itself

std::string hello_payload(const std::string& server_nonce, const Hello& hello) {
    return "grl hello " + server_nonce + " " + hello.nonce + " " + hello.role + " " + hello.name;
}

// More than a valid name: DOMAIN\user, user@realm. No space, nothing that a log would act on.
bool is_login(const std::string& name) {
    return !name.empty() && name.size() <= kMaxLogin &&
           std::all_of(name.begin(), name.end(),
                       [](unsigned char c) { return c > ' ' && c < 127; });
}

std::string welcome_payload(const std::string& client_nonce, const std::string& server_nonce) {
    return "grl welcome " + client_nonce + " " + server_nonce;
}

std::string frame_of(const char* type, const json::value& body) {
    json::object message;
    message["type"] = type;
    message["body"] = body;
    return *encode_frame(message);  // a few hundred bytes: never over the limit
}

// Both ends answer quickly or not at all, and find a dead peer while nothing is sent.
void tune(tcp::socket& socket) {
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    socket.set_option(asio::socket_base::keep_alive(true), ignored);
    const int idle = 5, interval = 2, count = 5;
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    // The same for what has been sent. The peer that a restored guest knows may have closed since:
    // its kernel then answers the old connection without taking anything, for minutes.
    const unsigned unanswered = 1000 * (idle + interval * count);  // ms
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered,
               sizeof unanswered);
    // What is sent to a guest that is not on the network yet is lost: then again soon at first, not
    // after twice the last wait.
    const int on = 1;
    setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, &on, sizeof on);
}

// What both sides of a handshake share: a socket, a deadline, one message at a time.
class Opening : public std::enable_shared_from_this<Opening> {
  public:
    Opening(tcp::socket socket, Milliseconds limit)
        : socket_(std::move(socket)), deadline_(socket_.get_executor(), limit), buffer_(4096, 0) {}
    virtual ~Opening() = default;

  protected:
    void arm() {
        deadline_.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (ec || self->over_) return;
            self->end(fail("opening a connection", self->peer_, "no answer in time",
                           ErrorKind::unreachable));
        });
    }

    template <class Message>
    void send(const Message& message) {
        auto frame = std::make_shared<std::string>(frame_of(Message::kType, to_json(message)));
        asio::async_write(socket_, asio::buffer(*frame),
                          [self = shared_from_this(), frame](const boost::system::error_code& ec,
                                                             std::size_t) {
                              if (ec) self->end(self->lost(ec));
                          });
    }

    template <class Message>
    void receive(std::function<void(const Message&)> then) {
        if (over_) return;
        auto message = decoder_.next();
        if (!message) return end(message.error());
        if (*message) {
            const json::value* type = (*message)->if_contains("type");
            const json::value* body = (*message)->if_contains("body");
            if (type && body && *type == "error") return end(refusal(*body));
            if (!type || !body || *type != Message::kType) {
                return end(fail("opening a connection", peer_,
                                std::string("it does not speak this protocol (no ") +
                                    Message::kType + " message)",
                                ErrorKind::protocol));
            }
            Result<Message> read = from_json<Message>(*body, Message::kType);
            if (!read) return end(read.error());
            return then(*read);
        }
        socket_.async_read_some(
            asio::buffer(buffer_), [self = shared_from_this(), then](
                                       const boost::system::error_code& ec, std::size_t n) {
                if (self->over_) return;
                if (ec) return self->end(self->lost(ec));
                self->decoder_.feed(std::string_view(self->buffer_).substr(0, n));
                self->receive<Message>(then);
            });
    }

    Error lost(const boost::system::error_code& ec) const {
        return fail("opening a connection", peer_, ec.message(), ErrorKind::unreachable);
    }

    Error refusal(const json::value& body) const {
        const json::value* why = body.is_object() ? body.get_object().if_contains("why") : nullptr;
        return fail("opening a connection", peer_,
                    why && why->is_string() ? std::string(why->get_string()) : "refused",
                    ErrorKind::denied);
    }

    std::shared_ptr<Channel> finish(const std::string& name) {
        over_ = true;
        deadline_.cancel();
        auto channel = std::make_shared<Channel>(Stream(std::move(socket_)), name);
        decoder_.set_limit(kMaxFrame);
        channel->feed(std::move(decoder_));
        return channel;
    }

    void end(const Error& why) {
        if (over_) return;
        over_ = true;
        deadline_.cancel();
        boost::system::error_code ignored;
        socket_.close(ignored);
        failed(why);
    }

    virtual void failed(const Error& why) = 0;

    tcp::socket socket_;
    asio::steady_timer deadline_;
    std::string buffer_;
    FrameDecoder decoder_{kMaxOpeningFrame};
    std::string peer_;
    bool over_ = false;
};

class ClientOpening final : public Opening {
  public:
    ClientOpening(asio::io_context& io, ConnectOptions options,
                  std::function<void(Result<std::shared_ptr<Channel>>)> done)
        : Opening(tcp::socket(io), options.limit),
          resolver_(io),
          options_(std::move(options)),
          done_(std::move(done)) {
        peer_ = options_.server.host + ":" + std::to_string(options_.server.port);
    }

    void start() {
        arm();
        resolver_.async_resolve(
            options_.server.host, std::to_string(options_.server.port),
            [this, self = shared_from_this()](const boost::system::error_code& ec,
                                              const tcp::resolver::results_type& found) {
                if (over_) return;
                if (ec) return end(lost(ec));
                asio::async_connect(socket_, found,
                                    [this, self](const boost::system::error_code& error,
                                                 const tcp::endpoint&) {
                                        if (over_) return;
                                        if (error) return end(lost(error));
                                        tune(socket_);
                                        receive<Challenge>([this](const Challenge& c) { answer(c); });
                                    });
            });
    }

  private:
    void answer(const Challenge& challenge) {
        if (challenge.version != kProtocolVersion) {
            return end(fail("opening a connection", peer_,
                            "it speaks protocol " + std::to_string(challenge.version) +
                                ", this release " + std::to_string(kProtocolVersion),
                            ErrorKind::protocol));
        }
        hello_.role = options_.role;
        hello_.name = options_.name;
        hello_.nonce = make_nonce();
        server_nonce_ = challenge.nonce;
        // A secret is for the server's eyes, and not for all users of the realm's hosts.
        const bool secret = !options_.secret.empty();
        Result<std::string> credential = make_credential(
            hello_payload(server_nonce_, hello_) + (secret ? " " + options_.secret : ""),
            options_.munge_socket,
            secret ? std::optional(options_.server_uid) : std::nullopt);
        if (!credential) return end(credential.error());
        hello_.credential = *credential;
        send(hello_);
        receive<Welcome>([this](const Welcome& w) { check(w); });
    }

    void check(const Welcome& welcome) {
        Result<Claim> claim = read_credential(welcome.credential, options_.munge_socket);
        if (!claim) return end(claim.error());
        const bool good = claim->payload == welcome_payload(hello_.nonce, server_nonce_) &&
                          (claim->uid == 0 || claim->uid == options_.server_uid);
        if (!good) {
            return end(fail("opening a connection", peer_,
                            "the server is not who it should be (uid " +
                                std::to_string(claim->uid) + ")",
                            ErrorKind::denied));
        }
        auto done = std::move(done_);
        done(finish(peer_));
    }

    void failed(const Error& why) override {
        resolver_.cancel();
        if (done_) {
            auto done = std::move(done_);
            done(why);
        }
    }

    tcp::resolver resolver_;
    ConnectOptions options_;
    std::function<void(Result<std::shared_ptr<Channel>>)> done_;
    Hello hello_;
    std::string server_nonce_;
};

}  // namespace

Result<Endpoint> parse_endpoint(const std::string& text) {
    const auto colon = text.rfind(':');
    unsigned port = 0;
    const char* end = text.data() + text.size();
    const bool shaped = colon != std::string::npos && colon > 0;
    auto [rest, ec] = std::from_chars(shaped ? text.data() + colon + 1 : end, end, port);
    if (!shaped || ec != std::errc() || rest != end || port == 0 || port > 65535) {
        return fail("reading an address", text, "HOST:PORT is wanted", ErrorKind::usage);
    }
    return Endpoint{text.substr(0, colon), static_cast<std::uint16_t>(port)};
}

void connect_channel(asio::io_context& io, ConnectOptions options,
                     std::function<void(Result<std::shared_ptr<Channel>>)> done) {
    std::make_shared<ClientOpening>(io, std::move(options), std::move(done))->start();
}

struct Acceptor::State : std::enable_shared_from_this<Acceptor::State> {
    State(asio::io_context& io, std::string munge, Accepted then)
        : acceptor(io), pause(io), munge_socket(std::move(munge)), accepted(std::move(then)) {}
    void accept_next();
    void accept_later();

    tcp::acceptor acceptor;
    asio::steady_timer pause;
    std::shared_ptr<asio::thread_pool> munge = std::make_shared<asio::thread_pool>(kMungeThreads);
    std::string munge_socket;
    Accepted accepted;
    std::size_t handshakes = 0;
};

namespace {

class ServerOpening final : public Opening {
  public:
    ServerOpening(tcp::socket socket, std::shared_ptr<std::size_t> count,
                  std::shared_ptr<asio::thread_pool> munge, std::string munge_socket,
                  Acceptor::Accepted accepted)
        : Opening(std::move(socket), kHandshakeLimit),
          count_(std::move(count)),
          munge_(std::move(munge)),
          munge_socket_(std::move(munge_socket)),
          accepted_(std::move(accepted)) {
        ++*count_;
        boost::system::error_code ec;
        const tcp::endpoint remote = socket_.remote_endpoint(ec);
        address_ = ec ? "?" : remote.address().to_string();
        peer_ = address_;
    }
    ~ServerOpening() override { --*count_; }

    void start() {
        tune(socket_);
        arm();
        challenge_.nonce = make_nonce();
        send(challenge_);
        receive<Hello>([this](const Hello& h) { check(h); });
    }

  private:
    void check(const Hello& hello) {
        // They go into logs and tables.
        if (!valid_name(hello.role) ||
            !(hello.role == "ctl" ? is_login(hello.name) : valid_name(hello.name))) {
            return refuse(fail("opening a connection", peer_, "its role or name is no valid name",
                               ErrorKind::protocol));
        }
        apart<Result<Claim>>(
            [credential = hello.credential, socket = munge_socket_] {
                return read_credential(credential, socket);
            },
            [this, hello](const Result<Claim>& claim) {
                if (!claim) return refuse(claim.error());
                check_claim(hello, *claim);
            });
    }

    void check_claim(const Hello& hello, const Claim& claim) {
        if (hello.version != kProtocolVersion) {
            return refuse(fail("opening a connection", peer_,
                               "it speaks protocol " + std::to_string(hello.version),
                               ErrorKind::protocol));
        }
        const std::string expected = hello_payload(challenge_.nonce, hello);
        std::string secret;
        if (claim.payload.compare(0, expected.size() + 1, expected + " ") == 0) {
            secret = claim.payload.substr(expected.size() + 1);
        } else if (claim.payload != expected) {
            return refuse(fail("opening a connection", peer_,
                               "the credential is not for this connection", ErrorKind::denied));
        }
        const Peer peer{hello.role, hello.name, claim.uid, claim.origin, address_, secret};
        apart<Result<std::string>>(
            [payload = welcome_payload(hello.nonce, challenge_.nonce), socket = munge_socket_] {
                return make_credential(payload, socket);
            },
            [this, peer](const Result<std::string>& credential) {
                if (!credential) return refuse(credential.error());
                send(Welcome{*credential}, [this, self = shared_from_this(), peer] {
                    accepted_(finish(peer.role + " " + peer.name), peer);
                });
            });
    }

    // Calls of MUNGE block, for seconds where its daemon does not answer: away from this thread.
    template <class T>
    void apart(std::function<T()> call, std::function<void(const T&)> then) {
        asio::post(*munge_, [this, self = shared_from_this(), call = std::move(call),
                             then = std::move(then)]() mutable {
            T outcome = call();
            // The last to let go of this must not be one of the pool's threads.
            asio::post(socket_.get_executor(),
                       [this, self = std::move(self), then = std::move(then),
                        outcome = std::move(outcome)] {
                           if (!over_) then(outcome);
                       });
        });
    }

    template <class Message>
    void send(const Message& message, std::function<void()> then = {}) {
        auto frame = std::make_shared<std::string>(frame_of(Message::kType, to_json(message)));
        asio::async_write(socket_, asio::buffer(*frame),
                          [this, self = shared_from_this(), frame, then](
                              const boost::system::error_code& ec, std::size_t) {
                              if (over_) return;
                              if (ec) return end(lost(ec));
                              if (then) then();
                          });
    }

    // The peer is told why, so that its operator need not read our log.
    void refuse(const Error& why) {
        json::object body;
        body["why"] = why.text();
        auto frame = std::make_shared<std::string>(frame_of("error", body));
        asio::async_write(socket_, asio::buffer(*frame),
                          [this, self = shared_from_this(), frame, why](
                              const boost::system::error_code&, std::size_t) { end(why); });
    }

    void failed(const Error& why) override { log_warning("refused a connection: " + why.text()); }

    std::shared_ptr<std::size_t> count_;
    std::shared_ptr<asio::thread_pool> munge_;
    std::string munge_socket_;
    Acceptor::Accepted accepted_;
    Challenge challenge_;
    std::string address_;
};

}  // namespace

void Acceptor::State::accept_next() {
    auto count = std::shared_ptr<std::size_t>(shared_from_this(), &handshakes);
    acceptor.async_accept([self = shared_from_this(), count](const boost::system::error_code& ec,
                                                             tcp::socket socket) {
        if (ec == asio::error::operation_aborted || !self->acceptor.is_open()) return;
        if (ec) {
            log_warning("accepting a connection: " + ec.message());
            return self->accept_later();
        }
        if (self->handshakes >= kMaxHandshakes) {
            log_warning("dropped a connection: too many are being opened");
        } else {
            std::make_shared<ServerOpening>(std::move(socket), count, self->munge,
                                            self->munge_socket, self->accepted)
                ->start();
        }
        self->accept_next();
    });
}

// Without descriptors the next would fail at once, and again.
void Acceptor::State::accept_later() {
    pause.expires_after(kAcceptPause);
    pause.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
        if (!ec && self->acceptor.is_open()) self->accept_next();
    });
}

Acceptor::Acceptor(std::shared_ptr<State> state) : state_(std::move(state)) {}

Acceptor::~Acceptor() {
    boost::system::error_code ignored;
    state_->acceptor.close(ignored);
    state_->pause.cancel();
    state_->munge->stop();
    state_->munge->join();
}

Result<std::unique_ptr<Acceptor>> Acceptor::listen(asio::io_context& io, const Endpoint& endpoint,
                                                   std::string munge_socket, Accepted accepted) {
    const std::string where = endpoint.host + ":" + std::to_string(endpoint.port);
    auto state = std::make_shared<State>(io, std::move(munge_socket), std::move(accepted));
    boost::system::error_code ec;
    const auto address = asio::ip::make_address(endpoint.host, ec);
    if (ec) return fail("listening", where, "an IP address is wanted", ErrorKind::usage);
    const tcp::endpoint at(address, endpoint.port);
    state->acceptor.open(at.protocol(), ec);
    if (!ec) state->acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) state->acceptor.bind(at, ec);
    if (!ec) state->acceptor.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return fail("listening", where, ec.message());
    state->accept_next();
    return std::unique_ptr<Acceptor>(new Acceptor(state));
}

std::uint16_t Acceptor::port() const { return state_->acceptor.local_endpoint().port(); }

}  // namespace grl
