// One thread for calls that block (Slurm, SQLite). Tasks run in order; each result comes back as a
// callback on the io_context's thread, which is kept from running out of work meanwhile.
// The destructor waits for the task that runs, drops those that have not begun, and no callback
// comes after it: who is called back is gone by then.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <memory>
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
                                    here = std::weak_ptr(here_),
                                    busy = boost::asio::make_work_guard(io_)]() mutable {
            boost::asio::post(
                io, [then = std::move(then), here = std::move(here), result = work()]() mutable {
                    if (!here.expired()) then(std::move(result));
                });
        });
    }

  private:
    boost::asio::io_context& io_;
    std::shared_ptr<char> here_ = std::make_shared<char>();
    boost::asio::thread_pool thread_;
};

}  // namespace grl::coordinator
