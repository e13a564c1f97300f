// A running QEMU guest's way to another host: one migration into a stream.
//
//     sent ─► copying ── first pass (nearly) over ─► copied ── converge, STOP ─► stopped ─►
//     finished
//                └──────────────────── STOP, by QEMU itself ──────────────────────┘
//     any ── failed, cancelled, deadline, monitor gone ──► finished with the error
//
// With KVM: PASS 2 says that every page was sent once. From there QEMU stops the guest by itself as
// soon as what is left would take less than its limit for the downtime, so that is as low as it can
// be until converge(); whoever holds the stream back keeps QEMU from finding so little left.
//
// With TCG before QEMU 9.0 no second look at what the guest has written may be taken while it runs:
// the guest's processor does not hear that the marks were collected, so what it goes on writing to a
// page is not marked again, and the guest arrives with an old page (seen: a kernel that waits for
// ever for a sequence count to become even; findings/qemu-tcg-migration-loses-writes.sh). So the
// marks are set up while the guest is stopped for a moment, and collected once it has
// been stopped for good: with a limit of 0 for the downtime 7.2 makes one pass and no other. It is
// `copied` shortly before that pass ends, which only asking QEMU can tell.
//
// One that has passthrough devices is sent whole by converge(), when they are out: QEMU cannot even
// begin before.
//
// Threads: the io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

#include "grl/messages/opening.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/qemu/guest.h"

namespace grl::bridge {

class QemuMigration : public std::enable_shared_from_this<QemuMigration> {
  public:
    QemuMigration(std::shared_ptr<QemuGuest> guest, MigrateOut events);

    void start(Fd stream, std::uint64_t limit_bytes_s);
    // Done when QEMU sends no more; `finished` comes all the same.
    void cancel(Callback<Done> done);

    void converge(Callback<Done> done);
    static void ask(const std::shared_ptr<QemuGuest>& guest, Callback<MigrationFacts> done);

  private:
    void begin(Fd stream);
    void on_event(const Result<QmpEvent>& event);
    void on_pass(std::uint64_t pass);
    void poll();
    void copied();
    void completed();
    void failed(const std::string& status);
    void end(Result<std::int64_t> outcome);
    Error error(const std::string& why) const;

    std::shared_ptr<QemuGuest> guest_;
    MigrateOut events_;
    const bool one_pass_;  // TCG
    const bool whole_;     // it has passthrough devices
    Fd stream_;            // until it is sent whole
    std::uint64_t limit_bytes_s_ = 0;
    asio::steady_timer deadline_;
    asio::steady_timer poll_;
    std::optional<Act<Done>> cancelling_;
    bool runs_ = true;  // until QEMU stops it for good
    bool stopped_ = false;
    bool started_ = false;
    bool copied_ = false;
    bool ended_ = false;
};

}  // namespace grl::bridge
