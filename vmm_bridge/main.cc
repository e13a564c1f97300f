// grl-bridge: the Virtual Machine Manager's side of GRL, one on each host.
#include <config.h>  // configure's; this folder has another
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/program_options.hpp>
#include <cerrno>
#include <iostream>
#include <optional>

#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "vmm_bridge/base/fd_passing.h"
#include "vmm_bridge/config.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/halves/child.h"
#include "vmm_bridge/halves/network.h"
#include "vmm_bridge/image/line_store.h"
#include "vmm_bridge/privileged_half.h"

namespace po = boost::program_options;

namespace {

using grl::Result;

constexpr int kUsage = 2;

struct Options {
    std::string config;
    bool debug = false;
    std::optional<std::string> store;  // make the checkpoint directory ready, with this id if any
    int status = -1;  // of a run that is over already (--help, bad words)
};

Options read_options(int argc, char** argv) {
    Options options;
    po::options_description known(
        "grl-bridge --config FILE\n\nRuns in the foreground and logs to "
        "standard error. Options");
    known.add_options()("config", po::value(&options.config), "configuration file")(
        "debug", po::bool_switch(&options.debug), "log more")(
        "init-store", po::value<std::string>()->implicit_value("")->value_name("[ID]"),
        "mark the checkpoint directory as the cluster's and end; once, on any one host")(
        "help", "print this")("version", "print the release");
    po::variables_map words;
    try {
        po::store(po::parse_command_line(argc, argv, known), words);
        po::notify(words);
    } catch (const po::error& e) {
        std::cerr << "grl-bridge: " << e.what() << "\n";
        options.status = kUsage;
        return options;
    }
    if (words.count("help")) {
        std::cout << known;
        options.status = 0;
    } else if (words.count("version")) {
        std::cout << "grl-bridge " << GRL_VERSION << "\n";
        options.status = 0;
    } else if (words.count("init-store")) {
        options.store = words["init-store"].as<std::string>();
    }
    if (options.status < 0 && options.config.empty()) {
        std::cerr << "grl-bridge: --config is wanted\n" << known;
        options.status = kUsage;
    }
    return options;
}

Result<grl::bridge::BridgeConfig> load(const std::string& path) {
    Result<grl::bridge::BridgeConfig> config = grl::bridge::load_bridge_config(path);
    if (!config) return config;
    std::string fault;
    if (!grl::valid_name(config->cluster)) fault = "cluster is no valid name";
    if (!grl::valid_name(config->bridge.host))
        fault = "bridge.host must be given: this host's name";
    if (config->bridge.memory_mib == 0) fault = "bridge.memory_mib must be given";
    const std::string no_driver = grl::bridge::driver_fault(config->bridge.driver);
    if (!no_driver.empty()) fault = no_driver;
    const std::string no_adapter = grl::bridge::adapters_fault(config->bridge);
    if (!no_adapter.empty()) fault = no_adapter;
    for (const std::string* directory :
         {&config->bridge.guest_dir, &config->bridge.image_dir, &config->bridge.run_dir}) {
        if (!directory->starts_with('/')) fault = "\"" + *directory + "\" must be an absolute path";
    }
    if (fault.empty()) return config;
    return grl::fail("reading the configuration", path, fault, grl::ErrorKind::usage);
}

// Two children without rights, one that listens to the network and one that keeps streams alive;
// the parent holds the rights.
int run(const grl::bridge::BridgeConfig& config) {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);  // if inherited as ignored, no exit status could be had
    Result<grl::bridge::StreamKeeper> keeper = grl::bridge::StreamKeeper::start(config.bridge.user);
    if (!keeper) {
        grl::log_error(keeper.error().text());
        return 1;
    }
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        grl::log_error("no socket for the two halves: " + grl::errno_text(errno));
        return 1;
    }
    grl::Fd privileged(ends[0]);
    grl::Fd network(ends[1]);
    auto streams = grl::bridge::open_passing_pair();
    if (!streams) {
        grl::log_error(streams.error().text());
        return 1;
    }
    auto [streams_in, streams_out] = std::move(*streams);
    const auto started = grl::bridge::start_child("the network half", [&, &in = streams_in,
                                                                       &out = streams_out] {
        privileged.reset();
        in.reset();
        { const auto not_its = std::move(*keeper); }
        return grl::bridge::run_network_half(config, std::move(network), std::move(out));
    });
    if (!started) {
        grl::log_error("the network half cannot be started: " + started.error().why);
        return 1;
    }
    network.reset();
    streams_out.reset();
    return grl::bridge::run_privileged_half(config, std::move(privileged), std::move(streams_in),
                                            std::move(*keeper));
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    if (options.status >= 0) return options.status;
    grl::log_start("grl-bridge", options.debug ? grl::LogLevel::debug : grl::LogLevel::info);
    Result<grl::bridge::BridgeConfig> config = load(options.config);
    if (!config) {
        grl::log_error(config.error().text());
        return kUsage;
    }
    if (options.store) {
        const grl::bridge::LineStore store(config->bridge.image_dir, config->cluster);
        Result<std::string> id = store.make_marker(*options.store);
        if (!id) {
            grl::log_error(id.error().text());
            return 1;
        }
        std::cout << config->bridge.image_dir << " is checkpoint directory " << *id << "\n";
        return 0;
    }
    // Threads may still stand in a call to a dead file system: they are left, not waited for.
    _exit(run(*config));
}
