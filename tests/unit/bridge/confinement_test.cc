// What the bridge's processes cannot do any more. Each case in a child, as there is no way back.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>

#include "grl/base/file.h"
#include "vmm_bridge/halves/confinement.h"
#include "vmm_bridge/halves/privileges.h"

namespace grl::bridge {
namespace {

// What it returns in a child, or how that ended.
std::string in_child(const std::function<std::string()>& act) {
    int ends[2];
    if (pipe(ends) != 0) return "no pipe";
    const pid_t child = fork();
    if (child == 0) {
        const std::string said = act();
        const bool told =
            write(ends[1], said.data(), said.size()) == static_cast<ssize_t>(said.size());
        _exit(told ? 0 : 1);
    }
    close(ends[1]);
    std::string said;
    char buffer[512];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
        said.append(buffer, static_cast<std::size_t>(n));
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0 ? said : said + " (ended with status " + std::to_string(status) + ")";
}

// Collects what was possible though it should not have been, or failed for another reason.
struct Tries {
    std::ostringstream wrong;
    void refused(const std::string& what, long outcome) {
        if (outcome >= 0) {
            wrong << what << " is possible; ";
        } else if (errno != EPERM && errno != EACCES) {
            wrong << what << ": " << errno_text(errno) << "; ";
        }
    }
    void works(const std::string& what, long outcome) {
        if (outcome < 0) wrong << what << ": " << errno_text(errno) << "; ";
    }
    std::string text() const { return wrong.str(); }
};

long connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const Fd fd(socket(AF_UNIX, SOCK_STREAM, 0));
    return connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
}

struct Confinement : testing::Test {
    std::string dir;
    void SetUp() override {
        char name[] = "/tmp/grl_confinement_XXXXXX";
        dir = mkdtemp(name);
    }
    void TearDown() override { std::filesystem::remove_all(dir); }

    std::string network_half(const std::function<std::string()>& act) {
        return in_child([&]() -> std::string {
            for (const auto& done : {drop_privileges(""), confine_network_half()}) {
                if (!done) return done.error().text();
            }
            return act();
        });
    }
};

TEST_F(Confinement, TheHalfOnTheNetworkReachesNoHypervisor) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, whose rights are given up";
    // As the bridge keeps monitors: in a directory that is root's.
    const std::string monitor = dir + "/g1.qmp";
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    monitor.copy(address.sun_path, sizeof address.sun_path - 1);
    const Fd server(socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(bind(server.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(listen(server.get(), 1), 0);
    ASSERT_EQ(connect_to(monitor), 0);
    const std::string image = dir + "/g1.image";
    std::ofstream(image) << "memory";
    const pid_t parent = getpid();

    EXPECT_EQ(
        network_half([&] {
            Tries tries;
            for (const char* device : {"/dev/xen/privcmd", "/dev/xen/xenbus", "/dev/xen/evtchn",
                                       "/dev/xen/gntdev", "/proc/xen/privcmd", "/proc/xen/xenbus",
                                       "/dev/kvm", "/dev/mem", "/dev/net/tun", "/dev/null"}) {
                tries.refused(device, open(device, O_RDWR));
            }
            tries.refused("an image", open(image.c_str(), O_RDONLY));
            tries.refused("a monitor", connect_to(monitor));
            const std::string proc = "/proc/" + std::to_string(parent);
            tries.refused("the other half's memory", open((proc + "/mem").c_str(), O_RDONLY));
            tries.refused("its descriptors", open((proc + "/fd/0").c_str(), O_RDONLY));
            return tries.text();
        }),
        "");
}

TEST_F(Confinement, TheHalfOnTheNetworkStartsAndSignalsNobody) {
    const pid_t parent = getpid();
    EXPECT_EQ(
        network_half([&] {
            Tries tries;
            char* const argv[] = {const_cast<char*>("true"), nullptr};
            char byte = 0;
            iovec local{&byte, 1};
            iovec remote{&byte, 1};
            tries.refused("fork", syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
            tries.refused("exec", execv("/bin/true", argv));
            tries.refused("kill", kill(parent, 0));
            tries.refused("ptrace", ptrace(PTRACE_ATTACH, parent, 0, 0));
            tries.refused("reading memory", process_vm_readv(parent, &local, 1, &remote, 1, 0));
            tries.refused("pidfd", syscall(SYS_pidfd_open, parent, 0));
            tries.refused("a namespace", unshare(CLONE_NEWUSER));
            tries.refused("mount", mount("none", "/tmp", "tmpfs", 0, nullptr));
            tries.refused("io_uring", syscall(SYS_io_uring_setup, 1, nullptr));
            tries.refused("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, nullptr, 0));
            tries.refused("a packet socket", socket(AF_PACKET, SOCK_RAW, 0));
            tries.refused("a vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
            tries.refused("a new file", open((dir + "/new").c_str(), O_CREAT | O_WRONLY, 0600));
            return tries.text();
        }),
        "");
}

TEST_F(Confinement, TheHalfOnTheNetworkDoesItsWork) {
    EXPECT_EQ(
        network_half([] {
            Tries tries;
            const Fd server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            socklen_t size = sizeof address;
            tries.works("bind", bind(server.get(), reinterpret_cast<sockaddr*>(&address), size));
            tries.works("listen", listen(server.get(), 1));
            getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size);
            // Asio resolves names on a thread of its own.
            std::thread([&] {
                addrinfo* found = nullptr;
                const int e = getaddrinfo("localhost", "80", nullptr, &found);
                if (e != 0) tries.wrong << "localhost: " << gai_strerror(e) << "; ";
                if (found) freeaddrinfo(found);
            }).join();
            const Fd client(socket(AF_INET, SOCK_STREAM, 0));
            tries.works("connect", connect(client.get(), reinterpret_cast<sockaddr*>(&address),
                                           sizeof address));
            const Fd peer(accept4(server.get(), nullptr, nullptr, SOCK_NONBLOCK));
            tries.works("send", send(client.get(), "x", 1, 0));
            pollfd polled{peer.get(), POLLIN, 0};
            tries.works("poll", poll(&polled, 1, 5000) - 1);
            tries.works("reading a file", open("/etc/hosts", O_RDONLY));
            return tries.text();
        }),
        "");
}

TEST_F(Confinement, TheStreamKeeperHasItsDescriptorsOnly) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    EXPECT_EQ(in_child([&]() -> std::string {
                  for (const auto& done : {drop_privileges(""), confine_stream_keeper()}) {
                      if (!done) return done.error().text();
                  }
                  Tries tries;
                  char byte = 'x';
                  tries.works("write", write(ends[0], &byte, 1));
                  tries.works("read", read(ends[1], &byte, 1));
                  tries.refused("a socket", socket(AF_INET, SOCK_STREAM, 0));
                  tries.refused("a file", open("/etc/hosts", O_RDONLY));
                  tries.refused("kill", kill(getppid(), 0));
                  return tries.text();
              }),
              "");
    close(ends[0]);
    close(ends[1]);
}

TEST_F(Confinement, TheHalfWithTheHypervisorLeavesTheKernelAlone) {
    EXPECT_EQ(in_child([&]() -> std::string {
                  auto done = confine_privileged_half();
                  if (!done) return done.error().text();
                  Tries tries;
                  tries.refused("a module", syscall(SYS_init_module, nullptr, 0, ""));
                  tries.refused("swap", swapon("/grl/no/such", 0));
                  tries.refused("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, nullptr, 0));
                  tries.refused("the clock", syscall(SYS_clock_settime, CLOCK_REALTIME, nullptr));
                  tries.refused("tracing", ptrace(PTRACE_ATTACH, getppid(), 0, 0));
                  tries.works("a file",
                              open((dir + "/g1.image").c_str(), O_CREAT | O_WRONLY, 0600));
                  tries.works("a socket", socket(AF_UNIX, SOCK_STREAM, 0));
                  return tries.text();
              }),
              "");
}

// Also for root: what it starts has no more than itself.
TEST_F(Confinement, WhatTheHalfWithTheHypervisorStartsIsConfinedToo) {
    if (geteuid() != 0) GTEST_SKIP() << "needs root, whose rights are given up";
    const std::string status = dir + "/status";
    EXPECT_EQ(
        in_child([&]() -> std::string {
            auto done = confine_privileged_half();
            if (!done) return done.error().text();
            return std::system(("cat /proc/self/status >" + status).c_str()) == 0 ? "" : "no shell";
        }),
        "");
    std::ifstream file(status);
    std::uint64_t permitted = 0;
    bool filtered = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("CapPrm:")) permitted = std::stoull(line.substr(7), nullptr, 16);
        if (line == "Seccomp:\t2") filtered = true;
    }
    EXPECT_TRUE(filtered);
    const auto has = [&](int capability) { return (permitted >> capability & 1) != 0; };
    EXPECT_TRUE(has(12)) << "CAP_NET_ADMIN, for taps";
    for (const int capability : {16, 17, 22, 25}) {  // module, rawio, boot, time
        EXPECT_FALSE(has(capability)) << capability;
    }
}

}  // namespace
}  // namespace grl::bridge
