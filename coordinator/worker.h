// One thread for calls that block (Slurm, SQLite). Tasks run in order; each result comes back as a
// callback on the io_context's thread, which is kept from running out of work meanwhile.
// The destructor waits for the task that runs and drops those that have not begun.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <utility>

namespace grl::coordinator {

class Worker {
  public:
    explicit Worker(boost::asio::io_context& io) : io_(io), thread_(1) {}
    ~Worker() {
        thread_.stop();
        thread_.join();
    }
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    template <class Work, class Then>
    void run(Work work, Then then) {
        boost::asio::post(thread_, [&io = io_, work = std::move(work), then = std::move(then),
                                    busy = boost::asio::make_work_guard(io_)]() mutable {
            boost::asio::post(io, [then = std::move(then), result = work()]() mutable {
                then(std::move(result));
            });
        });
    }

  private:
    boost::asio::io_context& io_;
    boost::asio::thread_pool thread_;
};

}  // namespace grl::coordinator
