// The driver for Xen (driver.h is its contract). A guest's domain outlives the bridge; a bridge
// that starts takes over the domains whose records it finds in run_dir.
//
// A guest is stopped by being suspended, which is the one thing a save needs of it: freeze() asks
// libxenlight for that alone, and the save that follows finds the guest suspended (xen_store.h).
// So all guests of a line stand still before the first is captured, and one that is captured stands
// still until resume().
//
// PVH guests on hosts that have hardware-assisted paging move while they run; PV guests need a
// hypervisor with shadow paging for that.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/host/adapters.h"
#include "vmm_bridge/xen/context.h"
#include "vmm_bridge/xen/guest.h"
#include "vmm_bridge/xen/migration.h"

namespace grl::bridge {

class XenDriver : public Driver {
  public:
    XenDriver(asio::io_context& io, std::string run_dir, const std::vector<std::string>& adapters)
        : io_(io), run_dir_(std::move(run_dir)), adapters_(adapters) {}

    std::string name() const override { return "xen"; }
    std::string version() const override { return version_; }
    void open(Events events, Callback<Done> done) override;
    std::vector<GuestView> list() const override;
    Result<void> check_room(const GuestDefinition& definition) const override;
    std::size_t adapters_free() const override;
    void start(const GuestDefinition& definition, Callback<Done> done) override;
    void destroy(const std::string& guest, Callback<Done> done) override;
    void prepare(const std::string& guest, CaptureMethod method, Callback<Done> done) override;
    void detach_devices(const std::string& guest, Callback<Done> done) override;
    void attach_devices(const std::string& guest, Callback<Done> done) override;
    void freeze(const std::string& guest, Callback<std::int64_t> done) override;
    void capture(const std::string& guest, CaptureMethod method, Fd stream,
                 Callback<std::int64_t> captured, Callback<Done> finished) override;
    void resume(const std::string& guest, Callback<Done> done) override;
    void cancel(const std::string& guest, Callback<Done> done) override;
    void restore(const GuestDefinition& definition, Fd stream, Callback<Done> done) override;
    // The limit is not heeded: libxenlight has none.
    void migrate_out(const std::string& guest, Fd stream, std::uint64_t limit_bytes_s,
                     MigrateOut events) override;
    void converge(const std::string& guest, Callback<Done> done) override;
    void ask_migration(const std::string& guest, Callback<MigrationFacts> done) override;
    void migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) override;

  private:
    struct Entry {
        std::shared_ptr<XenGuest> guest;
        std::shared_ptr<XenMigration> migration;
    };
    template <class T>
    std::shared_ptr<XenGuest> find(const std::string& act, const std::string& guest,
                                   const Callback<T>& done);
    Result<std::shared_ptr<XenGuest>> add(const GuestDefinition& definition);
    // A new one, unless it is here already, which is told to `done`: then null.
    std::shared_ptr<XenGuest> make_room(const std::string& act, const GuestDefinition& definition,
                                        const Callback<Done>& done);
    void drop(const std::string& guest, const std::shared_ptr<XenGuest>& which);
    void adopt_all(Callback<Done> done);
    void changed(const std::string& guest);
    Result<void> reserve_adapters(const std::shared_ptr<XenGuest>& guest);
    void find_adapters(const std::shared_ptr<XenGuest>& guest);
    void give_adapters_back(const std::vector<std::shared_ptr<XenGuest>>& guests,
                            Callback<Done> done);
    void load(const GuestDefinition& definition, Fd stream, GuestState then, Callback<Done> done);

    asio::io_context& io_;
    std::string run_dir_;
    std::string version_ = "Xen";
    Events events_;
    std::shared_ptr<XenContext> host_;
    std::map<std::string, Entry> guests_;
    Adapters adapters_;
};

}  // namespace grl::bridge
