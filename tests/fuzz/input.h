// What the harnesses share. Each has one LLVMFuzzerTestOneInput, which takes any bytes; a crash, a report of the
// sanitizers or `must` being false is a finding. No harness waits for time or leaves the machine.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "grl/base/file.h"

namespace grl::fuzz {

inline std::string_view text_of(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

inline void must(bool good) {
    if (!good) std::abort();
}

// A file of this process's own, in memory.
inline std::string scratch(const std::string& name) {
    static const std::string dir = [] {
        char made[] = "/dev/shm/grl_fuzz_XXXXXX";
        must(mkdtemp(made) != nullptr);
        return std::string(made);
    }();
    static const int at_exit = std::atexit([] {
        if (dir.starts_with("/dev/shm/grl_fuzz_")) {
            const int gone = std::system(("rm -rf " + dir).c_str());
            (void)gone;
        }
    });
    (void)at_exit;
    return dir + "/" + name;
}

inline void put_file(const std::string& path, std::string_view bytes) {
    Fd file(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    must(write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()));
}

// Two ends; all of `bytes` waits at the first, and then the end of it.
inline std::pair<Fd, Fd> ends_with(std::string_view bytes) {
    int ends[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    std::pair<Fd, Fd> pair{Fd(ends[0]), Fd(ends[1])};
    const int room = 1 << 20;
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    const ssize_t n = send(ends[1], bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;  // what does not fit is not looked at
    shutdown(ends[1], SHUT_WR);
    return pair;
}

}  // namespace grl::fuzz
