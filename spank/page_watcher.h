// Tells the io_context that ranks have changed the line page.
//
// A thread of its own waits on the page's event word, at most kLongest at a time so that it can
// end. Events that come while one is being told become one more: what a rank does cannot queue up
// work.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <thread>

namespace grl {

class PageWatcher {
  public:
    // `changed` runs on the io_context's thread. Both must outlive the watcher.
    PageWatcher(boost::asio::io_context& io, std::atomic<std::uint32_t>& events,
                std::function<void()> changed);
    ~PageWatcher();
    PageWatcher(const PageWatcher&) = delete;

  private:
    void watch();
    void tell();

    boost::asio::io_context& io_;
    std::atomic<std::uint32_t>& events_;
    std::function<void()> changed_;
    std::atomic<bool> telling_{false};
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

}  // namespace grl
