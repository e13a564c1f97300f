#include "vmm_bridge/host/process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

// glibc before 2.37 does not declare these for C++.
extern "C" {
#include <sys/pidfd.h>
}

#include <array>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace grl::bridge {

namespace {

constexpr std::size_t kMaxOutput = 64U << 10;

Result<pid_t> spawn(const std::vector<std::string>& arguments, int output) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
    // Asio's sockets are not close-on-exec, and a VMM outlives us.
    posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
    sigset_t none;
    sigset_t defaults;
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const auto& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    pid_t pid = 0;
    const int e = posix_spawnp(&pid, argv[0], &files, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (e != 0) return fail("starting " + arguments[0], "", errno_text(e));
    return pid;
}

// reading ── end of output ──► reaping ── pidfd readable ──► ended
//    └───────── deadline ───────────┴──► killed, then on as before
struct Run : std::enable_shared_from_this<Run> {
    Run(asio::io_context& io, Fd out, Fd process, pid_t p)
        : output(io, out.release()), ended(io, process.release()), deadline(io), pid(p) {}

    asio::posix::stream_descriptor output;
    asio::posix::stream_descriptor ended;
    asio::steady_timer deadline;
    pid_t pid;
    std::string name;
    bool killed = false;
    std::array<char, 4096> buffer{};
    Output result;
    Callback<Output> done;

    void begin(Milliseconds limit) {
        deadline.expires_after(limit);
        deadline.async_wait([self = shared_from_this()](boost::system::error_code ec) {
            if (ec) return;
            self->killed = true;
            ::kill(self->pid, SIGKILL);  // not reaped yet, so the pid is still its
            self->output.cancel();
        });
        read_more();
    }
    void read_more() {
        output.async_read_some(
            asio::buffer(buffer),
            [self = shared_from_this()](boost::system::error_code ec, std::size_t n) {
                if (self->result.text.size() < kMaxOutput) {
                    self->result.text.append(self->buffer.data(), n);
                }
                ec ? self->reap() : self->read_more();
            });
    }
    void reap() {
        ended.async_wait(asio::posix::stream_descriptor::wait_read,
                         [self = shared_from_this()](boost::system::error_code) { self->end(); });
    }
    void end() {
        deadline.cancel();
        int status = 0;
        const pid_t reaped = waitpid(pid, &status, WNOHANG);
        if (killed) return done(fail("running " + name, "", "it did not end in time"));
        if (reaped != pid) {
            return done(fail("running " + name, "",
                             "its exit status cannot be had: " +
                                 (reaped < 0 ? errno_text(errno) : "it has not ended")));
        }
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        done(std::move(result));
    }
};

}  // namespace

Process::Process(asio::io_context& io, pid_t pid, Fd fd) : pid_(pid), fd_(io, fd.release()) {}

Result<Process> Process::open(asio::io_context& io, pid_t pid) {
    Fd fd(pidfd_open(pid, 0));
    if (!fd) {
        return fail("opening process " + std::to_string(pid), "", errno_text(errno),
                    errno == ESRCH ? ErrorKind::not_found : ErrorKind::failed);
    }
    return Process(io, pid, std::move(fd));
}

void Process::wait(std::function<void()> ended) {
    fd_.async_wait(asio::posix::stream_descriptor::wait_read,
                   [ended = std::move(ended)](boost::system::error_code ec) {
                       if (!ec) ended();
                   });
}

Result<void> Process::kill() {
    if (pidfd_send_signal(fd_.native_handle(), SIGKILL, nullptr, 0) == 0 || errno == ESRCH)
        return {};
    return fail("killing process " + std::to_string(pid_), "", errno_text(errno));
}

void run_program(asio::io_context& io, std::vector<std::string> arguments, Milliseconds limit,
                 Callback<Output> done) {
    int ends[2];
    Result<pid_t> pid = pid_t{0};
    if (pipe2(ends, O_CLOEXEC) != 0) {
        pid = fail("starting " + arguments[0], "", errno_text(errno));
    } else {
        Fd input(ends[0]);
        Fd output(ends[1]);
        pid = spawn(arguments, output.get());
        if (pid) {
            auto run = std::make_shared<Run>(io, std::move(input), Fd(pidfd_open(*pid, 0)), *pid);
            run->name = arguments[0];
            run->done = std::move(done);
            return run->begin(limit);
        }
    }
    asio::post(io, [error = pid.error(), done = std::move(done)] { done(error); });
}

std::vector<std::string> command_line_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary);
    std::vector<std::string> arguments;
    for (std::string argument; std::getline(file, argument, '\0');) arguments.push_back(argument);
    return arguments;
}

std::uint64_t resident_bytes_of(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
    std::uint64_t size = 0;
    std::uint64_t resident = 0;
    file >> size >> resident;
    return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace grl::bridge
