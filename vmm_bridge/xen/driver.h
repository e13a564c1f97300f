// The driver for Xen (driver.h is its contract). A guest's domain outlives the bridge; a bridge
// that starts takes over the domains whose records it finds in run_dir.
//
// A guest is stopped by being suspended, which is the one thing a save needs of it: freeze() asks
// libxenlight for that alone, and the save that follows finds the guest suspended (store.h).
// So all guests of a line stand still before the first is captured, and one that is captured stands
// still until resume().
//
// PVH guests on hosts that have hardware-assisted paging move while they run; PV guests need a
// hypervisor with shadow paging for that.
#pragma once

#include <memory>
#include <string>

#include "vmm_bridge/guest_table.h"
#include "vmm_bridge/xen/context.h"
#include "vmm_bridge/xen/guest.h"
#include "vmm_bridge/xen/migration.h"

namespace grl::bridge {

struct XenWork {
    std::shared_ptr<XenMigration> migration;
};

class XenDriver : public GuestTable<XenGuest, XenWork> {
  public:
    using GuestTable::GuestTable;

    std::string name() const override { return "xen"; }
    std::string version() const override { return version_; }
    std::vector<GuestPart> parts_of(const GuestDefinition& definition) const override;
    void open(Events events, Callback<Done> done) override;
    Result<void> check_room(const GuestDefinition& definition) const override;
    std::size_t adapters_free() const override;
    void prepare(const std::string& guest, CaptureMethod method, Callback<Done> done) override;
    void capture(const std::string& guest, CaptureMethod method, Fd stream,
                 Callback<std::int64_t> captured, Callback<Done> finished) override;
    void cancel(const std::string& guest, Callback<Done> done) override;
    // The limit is not heeded: libxenlight has none.
    void migrate_out(const std::string& guest, Fd stream, std::uint64_t limit_bytes_s,
                     MigrateOut events) override;
    void converge(const std::string& guest, Callback<Done> done) override;
    void ask_migration(const std::string& guest, Callback<MigrationFacts> done) override;

  private:
    Result<std::shared_ptr<XenGuest>> make(const GuestDefinition& definition,
                                           HostedGuest::Handlers handlers) override;
    Result<void> check_name(const std::string& what, const std::string& name) const override;
    std::optional<Found> left(const std::string& name, const std::vector<XenDomain>& domains);

    std::string version_ = "Xen";
    std::shared_ptr<XenContext> host_;
};

}  // namespace grl::bridge
