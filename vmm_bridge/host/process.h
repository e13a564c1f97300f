// Processes by descriptor: a pid may be given to another process, a pidfd may not.
//
// Asynchronous on the io_context's thread, nothing blocks.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "grl/base/file.h"
#include "vmm_bridge/base/async.h"

namespace grl::bridge {

namespace asio = boost::asio;
using Milliseconds = std::chrono::milliseconds;

// Somebody else's process (a daemon): waits for its end, kills it.
class Process {
  public:
    static Result<Process> open(asio::io_context& io, pid_t pid);

    pid_t pid() const { return pid_; }
    // Once. Not called any more when the object is gone.
    void wait(std::function<void()> ended);
    Result<void> kill();

  private:
    Process(asio::io_context& io, pid_t pid, Fd fd);
    pid_t pid_;
    asio::posix::stream_descriptor fd_;
};

struct Output {
    int status = 0;    // as exit(); 128 + n for signal n
    std::string text;  // of stdout and stderr, the first 64 KiB
};

// Runs a program (arguments[0], by PATH; no shell) and waits for its end and for the end of its
// output; kills it at the deadline, which is an error.
void run_program(asio::io_context& io, std::vector<std::string> arguments, Milliseconds limit,
                 Callback<Output> done);

// The arguments a process was started with; empty if it is gone.
std::vector<std::string> command_line_of(pid_t pid);
// Bytes of memory it holds; 0 if it is gone.
std::uint64_t resident_bytes_of(pid_t pid);

}  // namespace grl::bridge
