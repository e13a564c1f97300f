// The coordinator: joins hosts, steps, lines, restores and the catalog. It takes channels that have
// proven who they are; where they come from (two realms, a test) is not its matter.
//
// Runs on the io_context's thread; does not block. Owns its channels. Destroy it before the
// io_context, which must not run afterwards.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "coordinator/hold/holds.h"
#include "coordinator/lines/lines.h"
#include "coordinator/move/drain_watch.h"
#include "coordinator/move/moves.h"
#include "coordinator/requests/control.h"
#include "coordinator/requests/masters.h"
#include "coordinator/restore/restores.h"

namespace grl::coordinator {

class Coordinator {
  public:
    Coordinator(asio::io_context& io, CoordinatorConfig config, std::unique_ptr<Catalog> catalog,
                std::unique_ptr<SlurmView> slurm);
    ~Coordinator();

    // Roles master, ctl and check; the channel is not started yet.
    void accept_cluster(std::shared_ptr<Channel> channel, const Peer& peer);
    // Role bridge, by root or the configured bridge_user.
    void accept_hosts(std::shared_ptr<Channel> channel, const Peer& peer);

    // Aborts the lines under way, so that no job stays silent; `done` when they are, or after 3 s.
    void stop(std::function<void()> done);

    // For tests and for later parts that decide by themselves (automatic restart, evacuation).
    Hosts& hosts() { return hosts_; }
    Steps& steps() { return steps_; }
    Lines& lines() { return lines_; }
    Holds& holds() { return holds_; }
    Restores& restores() { return restores_; }
    Moves& moves() { return moves_; }

  private:
    void watch_hosts();
    void note_places(const Host& host);
    void note_again();
    void load_fenced();
    void load_store();
    void see_store(const Host& host);
    void serve_check(const std::shared_ptr<Channel>& channel, const Peer& peer);
    void wait_for_lines(std::function<void()> done);

    asio::io_context& io_;
    CoordinatorConfig config_;
    std::unique_ptr<SlurmView> slurm_;
    Store store_;
    Hosts hosts_;
    Steps steps_;
    Room room_{hosts_};
    Sweep sweep_;
    Parts parts_;
    Lines lines_;
    Holds holds_;
    Restores restores_;
    Moves moves_;
    DrainWatch drains_;
    Masters masters_;
    Control control_;
    std::uint32_t bridge_uid_;
    // What stands in the catalog of a host's word, by host.
    struct Noted {
        std::set<std::string> has;   // something of these is there
        std::set<std::string> runs;  // these live there
        bool operator==(const Noted&) const = default;
    };
    std::map<std::string, Noted> noted_;
    bool store_loaded_ = false;
    std::map<std::string, std::weak_ptr<Channel>> swept_;  // by host: sees the directory
    std::map<std::string, std::string> store_faults_;      // by host: said
    asio::steady_timer noting_;
    asio::steady_timer stopping_;
    Steady::time_point stop_by_;
};

}  // namespace grl::coordinator
