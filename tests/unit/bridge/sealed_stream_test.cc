// Encrypted streams: what goes in comes out, and nobody between can read or change it.
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <thread>

#include "tests/unit/bridge/support.h"
#include "vmm_bridge/move/sealed_stream.h"

namespace grl::bridge {
namespace {

const std::string kSecret(64, 's');

std::pair<Fd, Fd> sockets() {
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    return {Fd(ends[0]), Fd(ends[1])};
}

std::string random_bytes(std::size_t count) {
    std::mt19937 random(3);
    std::string bytes(count, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    return bytes;
}

void put(int fd, const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
        if (n <= 0) return;
        done += static_cast<std::size_t>(n);
    }
}

std::string get_all(int fd) {
    std::string bytes;
    char buffer[65536];
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;) {
        bytes.append(buffer, static_cast<std::size_t>(n));
    }
    return bytes;
}

// What comes out when `bytes` go in; `between` sees what crosses the network, and may change it.
std::string through(const std::string& bytes, const std::string& theirs,
                    const std::function<void(std::string&)>& between) {
    auto [near, near_wire] = sockets();
    auto [far_wire, far] = sockets();
    auto in = seal_stream({std::move(near), kSecret}, SealedEnd::sender);
    auto out = seal_stream({std::move(far), theirs}, SealedEnd::receiver);
    EXPECT_TRUE(in && out);
    auto carry = [](int from, int to, const std::function<void(std::string&)>& change) {
        char buffer[65536];
        for (ssize_t n; (n = read(from, buffer, sizeof buffer)) > 0;) {
            std::string piece(buffer, static_cast<std::size_t>(n));
            if (change) change(piece);
            put(to, piece);
        }
        shutdown(to, SHUT_WR);
    };
    std::thread there(carry, near_wire.get(), far_wire.get(), between);
    std::thread back(carry, far_wire.get(), near_wire.get(), nullptr);
    std::thread feeding([&, end = std::move(*in)] { put(end.get(), bytes); });
    const std::string arrived = get_all(out->get());
    out->reset();
    feeding.join();
    there.join();
    back.join();
    return arrived;
}

TEST(SealedStream, WhatGoesInComesOutAndIsNotSeen) {
    const std::string bytes = random_bytes(20U << 20);
    std::string seen;
    EXPECT_TRUE(through(bytes, kSecret, [&](std::string& piece) { seen += piece; }) == bytes);
    EXPECT_GT(seen.size(), bytes.size());
    EXPECT_EQ(seen.find(bytes.substr(1 << 20, 32)), std::string::npos);
}

TEST(SealedStream, AnotherKeyOpensNothing) {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(through(random_bytes(100), std::string(64, 'x'), nullptr), "");
}

TEST(SealedStream, AChangedByteEndsIt) {
    signal(SIGPIPE, SIG_IGN);
    const std::string bytes = random_bytes(4U << 20);
    std::size_t passed = 0;
    const std::string arrived = through(bytes, kSecret, [&](std::string& piece) {
        if (passed <= (1U << 20) && passed + piece.size() > (1U << 20)) piece[0] ^= 1;
        passed += piece.size();
    });
    EXPECT_LT(arrived.size(), bytes.size());
    EXPECT_TRUE(bytes.compare(0, arrived.size(), arrived) == 0) << "nothing wrong arrives";
}

// ---- who has a certificate, and not the key ----

struct Tls {
    explicit Tls(bool with_certificate, int newest = TLS1_3_VERSION)
        : context(SSL_CTX_new(TLS_method()), SSL_CTX_free) {
        SSL_CTX_set_max_proto_version(context.get(), newest);
        if (with_certificate) certify();
    }
    // What it can get of the other end, which is a sealed stream, and what it can say to it.
    std::string talk(Fd wire, bool as_server, const std::string& words) {
        std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context.get()), SSL_free);
        SSL_set_fd(tls.get(), wire.get());
        const int opened = as_server ? SSL_accept(tls.get()) : SSL_connect(tls.get());
        if (opened == 1 && !words.empty())
            SSL_write(tls.get(), words.data(), static_cast<int>(words.size()));
        std::string got;
        char buffer[4096];
        for (int n; opened == 1 && got.empty() && (n = SSL_read(tls.get(), buffer, sizeof buffer)) > 0;)
            got.append(buffer, static_cast<std::size_t>(n));
        shutdown(wire.get(), SHUT_RDWR);
        return got;
    }
    void certify() {
        EVP_PKEY* key = EVP_EC_gen("P-256");
        X509* own = X509_new();
        ASN1_INTEGER_set(X509_get_serialNumber(own), 1);
        X509_gmtime_adj(X509_getm_notBefore(own), 0);
        X509_gmtime_adj(X509_getm_notAfter(own), 3600);
        X509_set_pubkey(own, key);
        X509_NAME* name = X509_get_subject_name(own);
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                                   reinterpret_cast<const unsigned char*>("h2"), -1, -1, 0);
        X509_set_issuer_name(own, name);
        X509_sign(own, key, EVP_sha256());
        EXPECT_EQ(SSL_CTX_use_certificate(context.get(), own), 1);
        EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), key), 1);
        X509_free(own);
        EVP_PKEY_free(key);
    }
    std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context;
};

// In place of the target, on the management network: it answers TLS itself.
TEST(SealedStream, AServerWithACertificateAndWithoutTheKeyGetsNothing) {
    signal(SIGPIPE, SIG_IGN);
    for (const int newest : {TLS1_3_VERSION, TLS1_2_VERSION}) {
        auto [near, wire] = sockets();
        auto in = seal_stream({std::move(near), kSecret}, SealedEnd::sender);
        ASSERT_TRUE(in);
        std::string got;
        std::thread server([&, wire = std::move(wire)]() mutable {
            got = Tls(true, newest).talk(std::move(wire), true, "");
        });
        put(in->get(), "a guest's memory");
        server.join();
        ASSERT_EQ(got, "");
        char more = 0;
        EXPECT_LE(read(in->get(), &more, 1), 0) << "it is told: the plain end closes";
    }
}

// In place of the source: what it sends must not become a guest.
TEST(SealedStream, AClientWithoutTheKeyBringsNothingIn) {
    signal(SIGPIPE, SIG_IGN);
    for (const bool with_certificate : {true, false}) {
        auto [far, wire] = sockets();
        auto out = seal_stream({std::move(far), kSecret}, SealedEnd::receiver);
        ASSERT_TRUE(out);
        std::thread client([&, wire = std::move(wire)]() mutable {
            Tls(with_certificate).talk(std::move(wire), false, "another guest's memory");
        });
        EXPECT_EQ(get_all(out->get()), "");
        client.join();
    }
}

// Between two real ends, with TLS of its own towards each: it reads nothing and passes nothing on.
TEST(SealedStream, ARelayThatEndsTlsItselfGetsNothingAndPassesNothingOn) {
    signal(SIGPIPE, SIG_IGN);
    auto [near, near_wire] = sockets();
    auto [far, far_wire] = sockets();
    auto in = seal_stream({std::move(near), kSecret}, SealedEnd::sender);
    auto out = seal_stream({std::move(far), kSecret}, SealedEnd::receiver);
    ASSERT_TRUE(in && out);
    std::string got;
    std::thread relay([&, near_wire = std::move(near_wire), far_wire = std::move(far_wire)]() mutable {
        got = Tls(true).talk(std::move(near_wire), true, "");
        Tls(true).talk(std::move(far_wire), false, got.empty() ? "made up" : got);
    });
    put(in->get(), "a guest's memory");
    in->reset();
    EXPECT_EQ(get_all(out->get()), "");
    relay.join();
    EXPECT_EQ(got, "");
}

// ---- one end that encrypts ----

TEST(SealedStream, APlainStreamIsNotTakenForAnEncryptedOneNorTheOtherWayRound) {
    signal(SIGPIPE, SIG_IGN);
    auto [one, other] = sockets();
    EXPECT_FALSE(move_stream({std::move(one), ""}, SealedEnd::receiver, true))
        << "the other host told no key";
    auto [third, fourth] = sockets();
    EXPECT_FALSE(move_stream({std::move(third), kSecret}, SealedEnd::receiver, false))
        << "the other host encrypts";
    auto [fifth, sixth] = sockets();
    auto out = move_stream({std::move(fifth), kSecret}, SealedEnd::receiver, true);
    ASSERT_TRUE(out);
    put(sixth.get(), "a guest's memory, as it is");
    shutdown(sixth.get(), SHUT_WR);
    EXPECT_EQ(get_all(out->get()), "");
    auto plain = move_stream({std::move(sixth), ""}, SealedEnd::sender, false);
    EXPECT_TRUE(plain) << "where both are told so";
}

TEST(SealedStream, AShortKeyIsRefused) {
    auto [one, other] = sockets();
    EXPECT_FALSE(seal_stream({std::move(one), "short"}, SealedEnd::sender));
}

}  // namespace
}  // namespace grl::bridge
