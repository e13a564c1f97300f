// Brings catalog and checkpoint directory together: the first bridge that is here lists the
// manifests and the catalog is made to agree; every bridge that comes removes what a dead line has
// left. No line is admitted meanwhile, so that nothing of it is taken for a leftover. Runs on the
// io_context's thread; does not block.
#pragma once

#include <functional>
#include <vector>

#include "coordinator/store/store.h"
#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/stored.h"
#include "grl/wire/channel.h"

namespace grl::coordinator {

class Sweep {
  public:
    // `active` gives the lines that are under way, `directory` the checkpoint directory's id.
    Sweep(asio::io_context& io, Store& store, std::string cluster,
          std::function<std::vector<LineId>()> active, std::function<std::string()> directory)
        : store_(store),
          cluster_(std::move(cluster)),
          active_(std::move(active)),
          directory_(std::move(directory)),
          retry_(io) {}

    // One that sees the checkpoint directory: an empty mount point is not "no lines".
    void bridge_connected(const std::shared_ptr<Channel>& bridge);
    // Calls back, at once or later, when the catalog is right and no sweep is under way.
    void when_quiet(std::function<void()> then);
    bool reconciled() const { return reconciled_; }  // the catalog agrees with the directory

  private:
    struct Found {
        std::vector<Manifest> manifests;
        std::vector<HostRecord> hosts;
        std::vector<LineId> there;
    };
    void list(const std::shared_ptr<Channel>& bridge, std::uint32_t after_job, Found found);
    void reconcile(const std::shared_ptr<Channel>& bridge, Found found);
    void sweep(const std::shared_ptr<Channel>& bridge);
    void again(const std::shared_ptr<Channel>& bridge);
    void end();

    Store& store_;
    std::string cluster_;
    std::function<std::vector<LineId>()> active_;
    std::function<std::string()> directory_;
    std::vector<std::shared_ptr<Channel>> others_;  // connected while the first was asked
    bool listing_ = false;
    bool reconciled_ = false;
    int sweeps_ = 0;
    asio::steady_timer retry_;
    std::vector<std::function<void()>> waiting_;
};

}  // namespace grl::coordinator
