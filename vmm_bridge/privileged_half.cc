#include "vmm_bridge/privileged_half.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <csignal>
#include <sstream>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "grl/wire/channel.h"
#include "vmm_bridge/base/fd_passing.h"
#include "vmm_bridge/bridge.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/halves/confinement.h"
#include "vmm_bridge/halves/link.h"
#include "vmm_bridge/verbs.h"

namespace grl::bridge {

namespace {

constexpr std::chrono::seconds kLeaveLimit{10};

// One bridge for a run directory, or two would fight for the same monitors.
Result<Fd> lock_run_dir(const std::string& run_dir) {
    if (mkdir(run_dir.c_str(), 0700) != 0 && errno != EEXIST) {
        return fail("making the run directory", run_dir, errno_text(errno));
    }
    const std::string path = run_dir + "/bridge.lock";
    Fd lock(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock) return fail("opening the lock", path, errno_text(errno));
    if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail("locking the run directory", path, "another grl-bridge holds it");
    }
    return lock;
}

class PrivilegedHalf {
  public:
    PrivilegedHalf(asio::io_context& io, const BridgeConfig& config, Stream peer, Fd streams,
                   StreamKeeper keeper)
        : io_(io),
          keeper_(std::move(keeper)),
          streams_(io, streams.release()),
          network_(std::make_shared<Channel>(std::move(peer), "network half")),
          signals_(io, SIGTERM, SIGINT),
          limit_(io),
          bridge_(io, config, make_driver(io, config.bridge), events(),
                  [this](int stream) { keeper_.keep(stream); }) {}

    void start() {
        signals_.async_wait([this](boost::system::error_code ec, int) {
            if (!ec) leave("it was told to end", 0);
        });
        bridge_.open([this](Result<Done> opened) {
            if (!opened) {
                log_error(opened.error().text());
                return leave("", 1);
            }
            serve();
        });
    }
    int status() const { return status_; }

  private:
    Bridge::Events events() {
        // Each message goes as it is; the network half drops it while nobody is there.
        auto send = [this](const auto& message) { network_->send(message); };
        return {send, send, send, send, send, send};
    }

    void serve() {
        network_->set_handlers(
            {[this](const std::string& type, const json::object&) {
                 if (type == LinkUp::kType) return bridge_.link_up();
                 if (type == LinkDown::kType) return bridge_.link_down();
                 log_error("the network half sends \"" + type + "\", which it may not");
             },
             [this](const std::string& type, const json::object& body,
                    Channel::Responder responder) {
                 auto shared = std::make_shared<Channel::Responder>(std::move(responder));
                 run_verb(bridge_, type, body, [shared](Result<json::object> outcome) {
                     outcome ? shared->reply(*outcome) : shared->error(outcome.error());
                 });
             },
             [this](const Error&) { leave("the network half has ended", 1); }});
        network_->start();
        take_stream();
    }

    void take_stream() {
        streams_.async_wait(
            asio::posix::descriptor_base::wait_read, [this](boost::system::error_code ec) {
                if (ec) return;
                Result<std::optional<Passed>> passed = take_fd(streams_.native_handle());
                if (!passed) return log_error(passed.error().text());
                if (!*passed) return;  // the other half has ended, as its channel tells, too
                if ((*passed)->fd) {
                    std::istringstream label((*passed)->label);
                    std::string token, secret;
                    label >> token >> secret;
                    bridge_.stream_opened(token, {std::move((*passed)->fd), secret});
                }
                take_stream();
            });
    }

    void leave(const std::string& why, int status) {
        if (leaving_) return;
        leaving_ = true;
        status_ = status;
        if (!why.empty()) log_info("ending: " + why);
        limit_.expires_after(kLeaveLimit);
        limit_.async_wait([this](boost::system::error_code ec) {
            if (!ec) io_.stop();
        });
        bridge_.abort_all("the bridge ends: " + why, [this](Result<Done> undone) {
            if (!undone) log_error(undone.error().text());
            io_.stop();
        });
    }

    asio::io_context& io_;
    StreamKeeper keeper_;
    asio::posix::stream_descriptor streams_;
    std::shared_ptr<Channel> network_;
    asio::signal_set signals_;
    asio::steady_timer limit_;
    Bridge bridge_;
    bool leaving_ = false;
    int status_ = 0;
};

}  // namespace

int run_privileged_half(const BridgeConfig& config, Fd peer, Fd streams, StreamKeeper keeper) {
    Result<Fd> lock = lock_run_dir(config.bridge.run_dir);
    if (!lock) {
        log_error(lock.error().text());
        return 1;
    }
    Result<void> confined = confine_privileged_half();
    if (!confined) {
        log_error(confined.error().text());
        return 1;
    }
    asio::io_context io(1);
    Stream stream(io, asio::generic::stream_protocol(AF_UNIX, 0), peer.release());
    PrivilegedHalf half(io, config, std::move(stream), std::move(streams), std::move(keeper));
    half.start();
    io.run();
    return half.status();
}

}  // namespace grl::bridge
