// The driver for QEMU (driver.h is its contract). A guest's QEMU is a daemon of its own that
// outlives the bridge; a bridge that starts takes over what it finds in run_dir.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/host/adapters.h"
#include "vmm_bridge/qemu/adapters.h"
#include "vmm_bridge/qemu/capture.h"
#include "vmm_bridge/qemu/guest.h"
#include "vmm_bridge/qemu/migration.h"

namespace grl::bridge {

class QemuDriver : public Driver {
  public:
    QemuDriver(asio::io_context& io, std::string run_dir, std::vector<std::string> adapters = {})
        : io_(io), run_dir_(std::move(run_dir)), adapters_(adapters), log_timer_(io) {}

    std::string name() const override { return "qemu"; }
    std::string version() const override { return version_; }
    void open(Events events, Callback<Done> done) override;
    std::vector<GuestView> list() const override;
    Result<void> check_room(const GuestDefinition& definition) const override;
    std::size_t adapters_free() const override { return adapters_.free(); }
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
    void migrate_out(const std::string& guest, Fd stream, std::uint64_t limit_bytes_s,
                     MigrateOut events) override;
    void converge(const std::string& guest, Callback<Done> done) override;
    void ask_migration(const std::string& guest, Callback<MigrationFacts> done) override;
    void migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) override;

  private:
    struct Entry {
        std::shared_ptr<QemuGuest> guest;
        std::shared_ptr<QemuCapture> capture;
        std::shared_ptr<QemuMigration> migration;
        std::shared_ptr<QemuAdapters> adapters;
    };
    // Nothing, and the callback gets the error, if it is not here.
    template <class T>
    std::shared_ptr<QemuGuest> find(const std::string& act, const std::string& guest,
                                    const Callback<T>& done);
    Result<std::shared_ptr<QemuGuest>> add(const GuestDefinition& definition);
    void changed(const std::string& guest);
    void drop(const std::string& guest, const std::shared_ptr<QemuGuest>& which);
    void adopt_all(Callback<Done> done);
    void launch(const std::shared_ptr<QemuGuest>& guest, QemuGuest::Launch how,
                Callback<Done> done);
    // Its own from now on, wherever they are; nothing if it wants none.
    Result<void> reserve_adapters(const std::shared_ptr<QemuGuest>& guest);
    void find_adapters(const std::shared_ptr<QemuGuest>& guest, Callback<Done> done);
    void give_adapters_back(const std::vector<std::shared_ptr<QemuGuest>>& guests,
                            Callback<Done> done);
    void change_adapters(const std::string& guest, void (QemuAdapters::*change)(Callback<Done>),
                         Callback<Done> done);
    void set_method(const std::shared_ptr<QemuGuest>& guest, CaptureMethod method,
                    std::int64_t until_ms, Callback<Done> done);
    void load(const GuestDefinition& definition, Fd stream, QemuGuest::Launch how,
              Callback<Done> done);
    void bound_logs();

    asio::io_context& io_;
    std::string run_dir_;
    std::string version_ = "QEMU";
    Events events_;
    std::map<std::string, Entry> guests_;
    Adapters adapters_;
    asio::steady_timer log_timer_;
};

}  // namespace grl::bridge
