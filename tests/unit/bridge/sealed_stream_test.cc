// Encrypted streams: what goes in comes out, and nobody between can read or change it.
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

TEST(SealedStream, AShortKeyIsRefused) {
    auto [one, other] = sockets();
    EXPECT_FALSE(seal_stream({std::move(one), "short"}, SealedEnd::sender));
}

}  // namespace
}  // namespace grl::bridge
