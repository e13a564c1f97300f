// grl-coordinator: one per cluster, outside the guests.
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>
#include <cerrno>
#include <csignal>
#include <iostream>

#include "coordinator/coordinator.h"
#include "coordinator/version.h"
#include "grl/base/log.h"

namespace {

using namespace grl;
using namespace grl::coordinator;
namespace options = boost::program_options;

constexpr const char* kDefaultConfig = "/etc/grl/coordinator.toml";

int say(const Error& error) {
    log_error(error.text());
    return static_cast<int>(error.kind);
}

// A connection a bridge, master and asker: the usual soft limit of 1024 would end that at some
// hundred nodes.
void raise_descriptor_limit() {
    rlimit files{};
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
        log_warning("the limit of open files cannot be raised: " + errno_text(errno));
    }
}

Result<std::unique_ptr<Acceptor>> listen(asio::io_context& io, const std::string& address,
                                         const std::string& munge, Acceptor::Accepted accepted) {
    Result<Endpoint> endpoint = parse_endpoint(address);
    if (!endpoint) return endpoint.error();
    return Acceptor::listen(io, *endpoint, munge, std::move(accepted));
}

int serve(const CoordinatorConfig& config) {
    const CoordinatorSection& own = config.coordinator;
    if (!own.fence_program.empty() && access(own.fence_program.c_str(), X_OK) != 0) {
        return say(fail("reading configuration", own.fence_program,
                        "the fence program cannot be run", ErrorKind::usage));
    }
    auto catalog = Catalog::open(own.catalog);
    if (!catalog) return say(catalog.error());

    asio::io_context io;
    Coordinator coordinator(io, config, std::move(*catalog), make_slurm_view(io));
    auto cluster = listen(io, own.listen_cluster, own.munge_cluster, [&](auto channel, Peer peer) {
        coordinator.accept_cluster(std::move(channel), peer);
    });
    if (!cluster) return say(cluster.error());
    auto hosts = listen(io, own.listen_hosts, own.munge_hosts, [&](auto channel, Peer peer) {
        coordinator.accept_hosts(std::move(channel), peer);
    });
    if (!hosts) return say(hosts.error());

    asio::signal_set signals(io, SIGTERM, SIGINT);
    signals.async_wait([&](const boost::system::error_code& ec, int) {
        if (ec) return;
        log_info("ending");
        coordinator.stop([&] { io.stop(); });
    });
    log_info("ready: cluster " + config.cluster + ", " + own.listen_cluster + " for the cluster, " +
             own.listen_hosts + " for hosts");
    io.run();
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string path = kDefaultConfig;
    options::options_description known("grl-coordinator [--config FILE]");
    known.add_options()("config", options::value(&path),
                        "configuration (default: /etc/grl/coordinator.toml)")(
        "verbose", "log more")("version", "print the release")("help", "print this");
    options::variables_map given;
    try {
        options::store(options::parse_command_line(argc, argv, known), given);
        options::notify(given);
    } catch (const options::error& e) {
        std::cerr << "grl-coordinator: " << e.what() << "\n";
        return static_cast<int>(ErrorKind::usage);
    }
    if (given.count("help")) return std::cout << known, 0;
    if (given.count("version")) return std::cout << "grl-coordinator " << kVersion << "\n", 0;

    log_start("grl-coordinator", given.count("verbose") ? LogLevel::debug : LogLevel::info);
    std::signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    auto config = load_coordinator_config(path);
    return config ? serve(*config) : say(config.error());
}
