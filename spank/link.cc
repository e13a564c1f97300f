#include "spank/link.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/opening.h"

namespace grl {
namespace {

constexpr Milliseconds kShortestDelay{50};
constexpr Milliseconds kLongestDelay{2000};
constexpr Milliseconds kLasting{1000};
constexpr Milliseconds kFirstPace{1000};

}  // namespace

Link::Link(asio::io_context& io, Connect connect, Hooks hooks)
    : connect_(std::move(connect)),
      hooks_(std::move(hooks)),
      retry_(io),
      heartbeat_(io),
      pace_(kFirstPace),
      delay_(kShortestDelay),
      self_(std::make_shared<Link*>(this)) {}

Link::~Link() {
    if (channel_) channel_->close(fail("the master's connection", "", "the step is over"));
}

void Link::start() {
    try_connect();
    beat();
}

void Link::set_pace(Milliseconds pace) {
    if (pace == pace_) return;
    pace_ = pace;
    beat();
}

void Link::beat() {
    heartbeat_.expires_after(pace_);
    heartbeat_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        send(Heartbeat{});
        beat();  // before the hook, which may change the pace
        hooks_.tick();
    });
}

void Link::try_connect() {
    hooks_.before();
    connect_([weak = std::weak_ptr(self_)](Result<std::shared_ptr<Channel>> channel) {
        if (auto self = weak.lock()) (*self)->opened(std::move(channel));
    });
}

void Link::opened(Result<std::shared_ptr<Channel>> channel) {
    if (!channel) return back_off(channel.error());
    channel_ = *channel;
    Channel::Handlers handlers;
    handlers.event = hooks_.event;
    handlers.request = hooks_.request;
    handlers.closed = [this](const Error& why) { lost(why); };
    channel_->set_handlers(std::move(handlers));
    channel_->start();
    up_since_ = std::chrono::steady_clock::now();
    log_info("connected to " + channel_->name());
    told_ = false;
    hooks_.up();
}

void Link::lost(const Error& why) {
    channel_.reset();
    if (std::chrono::steady_clock::now() - up_since_ > kLasting) delay_ = kShortestDelay;
    back_off(why);
}

void Link::back_off(const Error& why) {
    if (!told_) log_warning(why.text());
    told_ = true;
    retry_.expires_after(delay_);
    delay_ = std::min(2 * delay_, kLongestDelay);
    retry_.async_wait([this](const boost::system::error_code& ec) {
        if (!ec) try_connect();
    });
    hooks_.failed(why);
}

}  // namespace grl
