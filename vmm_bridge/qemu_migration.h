// A running QEMU guest's way to another host: one migration into a stream.
//
//     sent ─► copying ── PASS 2 ─► copied ── converge, STOP ─► stopped ── completed ─► finished
//                └────────────── STOP ───────────────────────────┘
//     any ── failed, cancelled, deadline, monitor gone ──► finished with the error
//
// PASS 2 says that every page was sent once. From there QEMU stops the guest by itself as soon as
// what is left would take less than its limit for the downtime, so that is as low as it can be
// until converge(); whoever holds the stream back keeps QEMU from finding so little left. A limit
// of 0 would be wrong: 7.2 then never looks again at what the guest has written, and stops after
// the first pass. Threads: the io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "vmm_bridge/driver.h"
#include "vmm_bridge/qemu_guest.h"

namespace grl::bridge {

class QemuMigration : public std::enable_shared_from_this<QemuMigration> {
  public:
    QemuMigration(std::shared_ptr<QemuGuest> guest, MigrateOut events);

    void start(Fd stream, std::uint64_t limit_bytes_s);
    // Done when QEMU sends no more; `finished` comes all the same.
    void cancel(Callback<Done> done);

    static void converge(const std::shared_ptr<QemuGuest>& guest, Callback<Done> done);
    static void ask(const std::shared_ptr<QemuGuest>& guest, Callback<MigrationFacts> done);

  private:
    void on_event(const Result<QmpEvent>& event);
    void completed();
    void failed(const std::string& status);
    void end(Result<std::int64_t> outcome);
    Error error(const std::string& why) const;

    std::shared_ptr<QemuGuest> guest_;
    MigrateOut events_;
    asio::steady_timer deadline_;
    std::optional<Act<Done>> cancelling_;
    bool ended_ = false;
};

}  // namespace grl::bridge
