// How long a guest is away, as the network sees it: an ICMP echo every so many milliseconds, and
// the longest time between two answers.
//
//     heartbeat ADDRESS SECONDS EVERY_MS      prints {"longest_ms": …, "gaps": [[when, ms], …]}
//
// Until its standard input ends, or so many seconds have passed. A guest that answers no more is no
// downtime: where the last answer is older than a second, that is an error and exit status 1.
#include <arpa/inet.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "grl/page/futex.h"

namespace {

constexpr std::int64_t kGap = 20'000'000;       // ns; shorter ones are not worth a word
constexpr std::int64_t kSilent = 1'000'000'000;  // ns

std::uint16_t checksum(const icmphdr& header) {
    std::array<std::uint16_t, sizeof header / 2> words{};
    memcpy(words.data(), &header, sizeof header);
    std::uint32_t sum = 0;
    for (const std::uint16_t word : words) sum += word;
    sum = (sum >> 16) + (sum & 0xffff);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16)));
}

void beat(int socket, std::uint16_t number) {
    icmphdr header{};
    header.type = ICMP_ECHO;
    header.un.echo.id = htons(static_cast<std::uint16_t>(getpid()));
    header.un.echo.sequence = htons(number);
    header.checksum = checksum(header);
    (void)send(socket, &header, sizeof header, MSG_DONTWAIT);
}

bool is_answer(int socket) {
    std::array<char, 256> packet{};
    const ssize_t n = recv(socket, packet.data(), packet.size(), MSG_DONTWAIT);
    const std::size_t begin = static_cast<std::size_t>(packet[0] & 0x0f) * 4;
    icmphdr header{};
    if (n < 0 || static_cast<std::size_t>(n) < begin + sizeof header) return false;
    memcpy(&header, packet.data() + begin, sizeof header);
    return header.type == ICMP_ECHOREPLY &&
           header.un.echo.id == htons(static_cast<std::uint16_t>(getpid()));
}

}  // namespace

int main(int argc, char** argv) {
    sockaddr_in peer{};
    peer.sin_family = AF_INET;
    if (argc != 4 || inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) {
        fprintf(stderr, "heartbeat: an address, seconds and milliseconds are wanted\n");
        return 2;
    }
    const int socket = ::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP);
    const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    if (socket < 0 || connect(socket, reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0) {
        perror("heartbeat");
        return 1;
    }
    const timespec step{0, std::clamp(std::atol(argv[3]), 1L, 999L) * 1'000'000};
    const itimerspec every{step, step};
    timerfd_settime(timer, 0, &every, nullptr);
    std::int64_t last = 0, longest = 0;
    const std::int64_t began = grl::monotonic_ns();
    std::string gaps;
    std::uint16_t number = 0;
    const std::int64_t end = grl::monotonic_ns() + std::atoll(argv[2]) * 1'000'000'000;
    while (grl::monotonic_ns() < end) {
        std::array<pollfd, 3> polled{
            {{timer, POLLIN, 0}, {socket, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
        if (poll(polled.data(), polled.size(), -1) < 0) continue;
        if (polled[2].revents != 0) break;
        if (polled[0].revents != 0) {
            std::uint64_t ticks = 0;
            (void)!read(timer, &ticks, sizeof ticks);
            beat(socket, ++number);
        }
        if (polled[1].revents != 0 && is_answer(socket)) {
            const std::int64_t now = grl::monotonic_ns();
            if (last != 0) longest = std::max(longest, now - last);
            if (last != 0 && now - last >= kGap) {
                gaps += (gaps.empty() ? "[" : ",[") + std::to_string((last - began) / 1'000'000) +
                        "," + std::to_string((now - last) / 1'000'000) + "]";
            }
            last = now;
        }
    }
    if (last == 0 || grl::monotonic_ns() - last > kSilent) {
        fprintf(stderr, "heartbeat: %s: %s, though %u beats were sent\n", argv[1],
                last == 0 ? "no answer" : "no answer any more", static_cast<unsigned>(number));
        return 1;
    }
    printf("{\"longest_ms\": %.3f, \"gaps\": [%s]}\n", static_cast<double>(longest) * 1e-6,
           gaps.c_str());
    return 0;
}
