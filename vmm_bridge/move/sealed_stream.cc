#include "vmm_bridge/move/sealed_stream.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "grl/base/log.h"
#include "vmm_bridge/base/stream.h"

namespace grl::bridge {

namespace {

constexpr const char* kIdentity = "grl";
constexpr const char* kCipher = "TLS_AES_128_GCM_SHA256";  // what OpenSSL has for a shared key
constexpr std::size_t kSealedStep = 256U << 10;             // bytes
constexpr std::size_t kLeastSecret = 32;                    // bytes
constexpr time_t kSealLimit_s = 10;                         // for the handshake

struct TlsFree {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
    void operator()(SSL* tls) const { SSL_free(tls); }
};

struct SealedStream {
    std::unique_ptr<SSL_CTX, TlsFree> context;
    std::unique_ptr<SSL, TlsFree> tls;
    Fd network;
    Fd plain;
    std::string secret;
    SealedEnd end;

    void run();
    void send();
    void receive();
    void told(const char* what, int outcome) const;
};

std::size_t give_key(SSL* tls, unsigned char* key, std::size_t room) {
    const std::string& secret = static_cast<SealedStream*>(SSL_get_app_data(tls))->secret;
    if (secret.size() > room) return 0;
    std::copy(secret.begin(), secret.end(), key);
    return secret.size();
}

unsigned client_key(SSL* tls, const char*, char* identity, unsigned identity_room,
                    unsigned char* key, unsigned room) {
    if (std::strlen(kIdentity) >= identity_room) return 0;
    std::strcpy(identity, kIdentity);
    return static_cast<unsigned>(give_key(tls, key, room));
}

unsigned server_key(SSL* tls, const char* identity, unsigned char* key, unsigned room) {
    if (std::strcmp(identity, kIdentity) != 0) return 0;
    return static_cast<unsigned>(give_key(tls, key, room));
}

int refuse_certificate(X509_STORE_CTX* certificate, void*) {
    X509_STORE_CTX_set_error(certificate, X509_V_ERR_CERT_REJECTED);
    return 0;
}

std::string openssl_reason() {
    const unsigned long code = ERR_get_error();
    const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
    return text == nullptr ? "OpenSSL failed" : text;
}

void limit_waits(int socket, time_t seconds) {
    const timeval limit{seconds, 0};
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

void SealedStream::told(const char* what, int outcome) const {
    const int error = errno;
    std::string why = openssl_reason();
    const int kind = SSL_get_error(tls.get(), outcome);
    if (kind == SSL_ERROR_SYSCALL && error != 0) why = errno_text(error);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) why = "no answer in time";
    log_warning(fail(std::string(what) + " an encrypted stream", "the other host", why).text());
}

void SealedStream::run() {
    ERR_clear_error();
    const int opened = end == SealedEnd::sender ? SSL_connect(tls.get()) : SSL_accept(tls.get());
    if (opened != 1) return told("opening", opened);
    // What TLS 1.3 calls resumed was opened with the key; anything else was not, whatever it shows.
    if (SSL_session_reused(tls.get()) != 1) {
        return log_warning(
            fail("opening an encrypted stream", "the other host", "it does not have the key").text());
    }
    // A guest's move may be held back for long; that its peer lives is TCP's to find out.
    limit_waits(network.get(), 0);
    end == SealedEnd::sender ? send() : receive();
}

void SealedStream::send() {
    std::vector<char> buffer(kSealedStep);
    for (;;) {
        const ssize_t n = read(plain.get(), buffer.data(), buffer.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return;  // the move was dropped
        if (n == 0) break;
        const int written = SSL_write(tls.get(), buffer.data(), static_cast<int>(n));
        if (written <= 0) return told("sending", written);
    }
    SSL_shutdown(tls.get());
}

void SealedStream::receive() {
    std::vector<char> buffer(kSealedStep);
    for (;;) {
        const int n = SSL_read(tls.get(), buffer.data(), static_cast<int>(buffer.size()));
        if (n <= 0) {
            // Without the sender's farewell the stream was cut off; the VMM sees that, too.
            if (SSL_get_error(tls.get(), n) != SSL_ERROR_ZERO_RETURN) told("receiving", n);
            return;
        }
        for (int done = 0; done < n;) {
            const ssize_t put = write(plain.get(), buffer.data() + done, n - done);
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return;  // nobody wants it any more
            done += static_cast<int>(put);
        }
    }
}

}  // namespace

Result<Fd> move_stream(OpenedStream network, SealedEnd end, bool encrypted) {
    if (encrypted) return seal_stream(std::move(network), end);
    if (!network.secret.empty()) {
        return fail("taking a move's stream", "",
                    "the other host encrypts it, and this one was told not to", ErrorKind::denied);
    }
    return std::move(network.socket);
}

Result<Fd> seal_stream(OpenedStream network, SealedEnd end) {
    auto failed = [](const std::string& why) { return fail("encrypting a stream", "", why); };
    if (network.secret.size() < kLeastSecret) return failed("the other host sent no key for it");
    auto stream = std::make_unique<SealedStream>();
    stream->context.reset(SSL_CTX_new(TLS_method()));
    SSL_CTX* context = stream->context.get();
    if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(context, kCipher) != 1) {
        return failed(openssl_reason());
    }
    SSL_CTX_set_psk_client_callback(context, client_key);
    SSL_CTX_set_psk_server_callback(context, server_key);
    // A server that has a certificate and not the key is nobody, whatever it says; a client is not asked for one.
    if (end == SealedEnd::sender) SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_cert_verify_callback(context, refuse_certificate, nullptr);
    // The sender reads nothing: what lies unread when it closes would cost the last bytes.
    SSL_CTX_set_num_tickets(context, 0);
    stream->tls.reset(SSL_new(context));
    if (!stream->tls) return failed(openssl_reason());
    SSL_set_app_data(stream->tls.get(), stream.get());
    const int socket = network.socket.get();
    SSL_set_fd(stream->tls.get(), socket);
    Result<StreamPair> pair = open_stream_pair();
    if (!pair) return pair.error();
    fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) & ~O_NONBLOCK);
    limit_waits(socket, kSealLimit_s);
    stream->network = std::move(network.socket);
    stream->plain = std::move(pair->bridge);
    stream->secret = std::move(network.secret);
    stream->end = end;
    std::thread([stream = std::move(stream)] { stream->run(); }).detach();
    return std::move(pair->vmm);
}

}  // namespace grl::bridge
