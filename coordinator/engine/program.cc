#include "coordinator/engine/program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "grl/base/file.h"

namespace grl::coordinator {

namespace {

namespace asio = boost::asio;

// The child gets standard input from nowhere, our standard error twice, nothing else of ours, and a
// process group to be killed as one.
int spawn(const std::vector<std::string>& command, pid_t& pid) {
    std::vector<char*> argv;
    argv.reserve(command.size() + 1);
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&files, STDERR_FILENO, STDOUT_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&files, 3);
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&attributes, &all);
    const int code = posix_spawn(&pid, argv[0], &files, &attributes, argv.data(), environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return code;
}

struct Child : std::enable_shared_from_this<Child> {
    Child(asio::io_context& io, std::string program, pid_t child, int handle,
        std::chrono::milliseconds limit, std::function<void(Result<void>)> then)
        : name(std::move(program)),
          pid(child),
          exit(io, handle),
          deadline(io, limit),
          done(std::move(then)) {}

    void start() {
        deadline.async_wait([self = shared_from_this()](const boost::system::error_code& ec) {
            if (ec) return;
            self->late = true;
            kill(-self->pid, SIGKILL);
        });
        wait();
    }

    // Asio may say "readable" once for nothing, where a descriptor's number was used before.
    void wait() {
        exit.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](const boost::system::error_code&) {
                            int status = 0;
                            const pid_t ended = waitpid(self->pid, &status, WNOHANG);
                            if (ended == 0) return self->wait();
                            // Somebody else has reaped it: how it ended is not known.
                            self->ended(ended < 0 ? -1 : status);
                        });
    }

    void ended(int status) {
        deadline.cancel();
        if (late) return done(fail("running " + name, "", "it did not end in time"));
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return done({});
        const std::string how = WIFEXITED(status)
                                    ? "it ended with exit " + std::to_string(WEXITSTATUS(status))
                                    : "signal " + std::to_string(WTERMSIG(status)) + " ended it";
        done(fail("running " + name, "", how));
    }

    std::string name;
    pid_t pid;
    asio::posix::stream_descriptor exit;  // a pidfd: readable when the child has ended
    asio::steady_timer deadline;
    bool late = false;
    std::function<void(Result<void>)> done;
};

}  // namespace

void run_program(asio::io_context& io, const std::vector<std::string>& command,
                 std::chrono::milliseconds limit, std::function<void(Result<void>)> done) {
    pid_t pid = -1;
    int code = spawn(command, pid);
    int handle = -1;
    if (code == 0) {
        handle = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
        if (handle < 0) {
            code = errno;
            kill(-pid, SIGKILL);
            waitpid(pid, nullptr, 0);
        }
    }
    if (code != 0) {
        const Error why = fail("running " + command[0], "", errno_text(code));
        asio::post(io, [done = std::move(done), why] { done(why); });
        return;
    }
    std::make_shared<Child>(io, command[0], pid, handle, limit, std::move(done))->start();
}

}  // namespace grl::coordinator
