// Blocking work (file systems, checksums, compression) away from the io_context's thread.
//
// Each job has a thread of its own: jobs are few and long, and one that hangs on a dead file system
// must not hold up the others. The io_context must outlive all jobs (main leaves by _exit).
//
// The coordinator's Worker (coordinator/engine/worker.h) is another thing: one thread that does its
// tasks in order, since SQLite and Slurm's library want that, and that is waited for at the end.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <thread>
#include <utility>

#include "vmm_bridge/base/async.h"

namespace grl::bridge {

namespace asio = boost::asio;

// Runs `job` on a thread; `done` gets its result on the io_context's.
template <class T>
void run_blocking(asio::io_context& io, std::function<Result<T>()> job, Callback<T> done) {
    auto work = asio::make_work_guard(io);
    std::thread([&io, work = std::move(work), job = std::move(job),
                 done = std::move(done)]() mutable {
        auto result = std::make_shared<Result<T>>(job());
        asio::post(io, [result, done = std::move(done)] { done(std::move(*result)); });
    }).detach();
}

}  // namespace grl::bridge
