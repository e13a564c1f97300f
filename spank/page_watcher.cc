#include "spank/page_watcher.h"

#include <boost/asio/post.hpp>

#include "grl/page/futex.h"

namespace grl {
namespace {

constexpr std::int64_t kLongest = 200'000'000;  // ns

}  // namespace

PageWatcher::PageWatcher(boost::asio::io_context& io, std::atomic<std::uint32_t>& events,
                         std::function<void()> changed)
    : io_(io), events_(events), changed_(std::move(changed)), thread_([this] { watch(); }) {}

PageWatcher::~PageWatcher() {
    ending_ = true;
    futex_wake(events_, Reach::node);
    thread_.join();
}

void PageWatcher::watch() {
    std::uint32_t seen = events_.load(std::memory_order_acquire);
    while (!ending_) {
        futex_wait(events_, seen, Reach::node, kLongest);
        const std::uint32_t now = events_.load(std::memory_order_acquire);
        if (now == seen) continue;
        seen = now;
        if (!telling_.exchange(true)) tell();
    }
}

void PageWatcher::tell() {
    boost::asio::post(io_, [this] {
        telling_ = false;  // before the page is read: what changes from here on is told again
        changed_();
    });
}

}  // namespace grl
