// grl-master: one for each protected step on each node, started by spank_grl.so in slurmstepd. It
// ends when slurmstepd does, by whatever end: the life pipe's other end is there.
#include <signal.h>
#include <sys/resource.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>

#include "grl/base/log.h"
#include "grl/messages/masters.h"
#include "spank/answer.h"
#include "spank/daemon.h"
#include "spank/helper.h"
#include "spank/line_page_file.h"
#include "spank/marks.h"
#include "spank/master_options.h"
#include "spank/page_watcher.h"
#include "spank/step_check.h"

namespace grl {
namespace {

bool is_alive(std::int32_t pid) {
    return kill(pid, 0) == 0 || errno == EPERM;
}

int refuse(const Error& why) {
    log_error(why.text());
    answer_refused(why.text());
    return 1;
}

// Until the plugin has its answer a refusal ends the master; after that it tries for ever.
class Start {
  public:
    Start(asio::io_context& io, Milliseconds limit) : io_(io), deadline_(io, limit) {
        deadline_.async_wait([this](const boost::system::error_code& ec) {
            if (!ec) give_up();
        });
    }
    void connected(const Error* why) {
        if (answered_) return;
        if (why != nullptr) {
            last_ = *why;
            // These do not pass by themselves.
            if (why->kind == ErrorKind::denied || why->kind == ErrorKind::protocol) give_up();
            return;
        }
        answered_ = true;
        deadline_.cancel();
        answer_ready();
    }
    bool failed() const { return failed_; }

  private:
    void give_up() {
        if (answered_) return;
        answered_ = failed_ = true;
        refuse(last_);
        io_.stop();
    }
    asio::io_context& io_;
    asio::steady_timer deadline_;
    Error last_ =
        fail("connecting to the coordinator", "", "no answer in time", ErrorKind::unreachable);
    bool answered_ = false;
    bool failed_ = false;
};

// For the sruns that the job's script will run on this node.
void mark(const MasterOptions& options) {
    const std::string directory = options.page.substr(0, options.page.rfind('/'));
    if (!grl_mark_restored(directory.c_str(), options.facts.node.c_str(), options.facts.job))
        log_warning("no mark that the job was restored: " + errno_text(errno));
}

constexpr int kPriority = -10;

int serve(const MasterOptions& options) {
    Result<LinePageFile> page = LinePageFile::create(options.page, options.facts.local_ranks,
                                                     options.facts.ranks, options.facts.uid);
    if (!page) return refuse(page.error());
    line_page_removal_on_bus_error(options.page);

    // A little work now and then, for which all ranks of the step wait.
    if (setpriority(PRIO_PROCESS, 0, kPriority) != 0)
        log_warning("no priority over the ranks: " + errno_text(errno));

    asio::io_context io(1);
    asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&](const boost::system::error_code&, int) { io.stop(); });
    asio::posix::stream_descriptor life(io);
    char byte = 0;
    boost::system::error_code no_life;
    if (!options.foreground) life.assign(GRL_LIFE_FD, no_life);
    if (no_life) return refuse(fail("starting", "life pipe", no_life.message()));
    if (!options.foreground) {
        life.async_read_some(asio::buffer(&byte, 1),
                             [&](const boost::system::error_code&, std::size_t) { io.stop(); });
    }

    MachineClock clock;
    Start start(io, options.limit);
    Master master(
        io, options.facts, *page, clock, is_alive,
        [&](const Link::Opened& done) {
            connect_channel(io,
                            ConnectOptions{.server = options.coordinator,
                                           .munge_socket = options.munge_socket,
                                           .role = "master",
                                           .name = options.facts.node},
                            done);
        },
        [&](const Error* why) { start.connected(why); },
        [&] { mark(options); });
    const PageWatcher watcher(io, page->events(), [&] { master.page_changed(); });
    master.start();
    io.run();
    log_info("the step is over");
    return start.failed() ? 1 : 0;
}

int run(int argc, char* argv[]) {
    log_start("grl-master");
    Result<MasterOptions> options = parse_master_options(argc, argv);
    if (!options) return refuse(options.error());
    if (options->check) {
        Result<StepChecked> checked = check_step(*options);
        if (!checked) return refuse(checked.error());
        checked->beside.empty() ? answer_ready() : answer_beside(checked->beside);
        return 0;
    }
    if (!options->foreground) {
        if (Result<void> done = become_daemon(); !done) return refuse(done.error());
        log_to(options->log);
    }
    log_start("grl-master " + std::to_string(options->facts.job) + "." +
              std::to_string(options->facts.step) + " " + options->facts.node);
    return serve(*options);
}

}  // namespace
}  // namespace grl

int main(int argc, char* argv[]) {
    try {
        return grl::run(argc, argv);
    } catch (const std::exception& e) {  // Asio's constructors
        return grl::refuse(grl::fail("running grl-master", "", e.what()));
    }
}
