// The driver for QEMU (driver.h is its contract). A guest's QEMU is a daemon of its own that
// outlives the bridge; a bridge that starts takes over what it finds in run_dir.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "vmm_bridge/guest_table.h"
#include "vmm_bridge/qemu/capture.h"
#include "vmm_bridge/qemu/guest.h"
#include "vmm_bridge/qemu/migration.h"

namespace grl::bridge {

struct QemuWork {
    std::shared_ptr<QemuCapture> capture;
    std::shared_ptr<QemuMigration> migration;
};

class QemuDriver : public GuestTable<QemuGuest, QemuWork> {
  public:
    QemuDriver(asio::io_context& io, std::string run_dir,
               const std::vector<std::string>& devices = {})
        : GuestTable(io, std::move(run_dir), devices), log_timer_(io) {}

    std::string name() const override { return "qemu"; }
    std::string version() const override { return version_; }
    std::vector<GuestPart> parts_of(const GuestDefinition& definition) const override;
    void open(Events events, Callback<Done> done) override;
    void prepare(const std::string& guest, CaptureMethod method, Callback<Done> done) override;
    void capture(const std::string& guest, CaptureMethod method, Fd stream,
                 Callback<std::int64_t> captured, Callback<Done> finished) override;
    void cancel(const std::string& guest, Callback<Done> done) override;
    void migrate_out(const std::string& guest, Fd stream, std::uint64_t limit_bytes_s,
                     MigrateOut events) override;
    void converge(const std::string& guest, Callback<Done> done) override;
    void ask_migration(const std::string& guest, Callback<MigrationFacts> done) override;

  private:
    Result<std::shared_ptr<QemuGuest>> make(const GuestDefinition& definition,
                                            HostedGuest::Handlers handlers) override;
    std::string here_words() const override { return "it is "; }
    std::optional<Found> left(const std::string& name);
    void set_method(const std::shared_ptr<QemuGuest>& guest, CaptureMethod method,
                    std::int64_t until_ms, Callback<Done> done);
    void bound_logs();

    std::string version_ = "QEMU";
    asio::steady_timer log_timer_;
};

}  // namespace grl::bridge
