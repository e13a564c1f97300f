// The capture of one frozen QEMU guest: one migration into a stream.
//
//              ┌─ background: RESUME ──────────► cut ── completed ──► finished
//     sent ────┤
//              └─ stop-copy: completed, postmigrate ► cut and finished
//     any ── failed, cancelled, deadline, monitor gone ──► error to whoever has not been told
//     cancel: stop-copy ── migrate_cancel, settled ──► cancelled
//             background ── cut ──► cancelled, but the stream goes on to its end
//
// Background means QEMU's background-snapshot: memory is write-protected, and QEMU 7.2 lets the
// guest run by itself when that is done; the event RESUME is the only sign (the status "active" is
// early). Such a migration must not be cancelled, nor its stream be closed: see stream_keeper.h.
// Threads: the io_context's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>

#include "grl/messages/opening.h"
#include "grl/messages/phase.h"
#include "vmm_bridge/qemu/guest.h"

namespace grl::bridge {

class QemuCapture : public std::enable_shared_from_this<QemuCapture> {
  public:
    struct Handlers {
        Callback<std::int64_t> captured;
        Callback<Done> finished;
    };

    QemuCapture(std::shared_ptr<QemuGuest> guest, CaptureMethod method, Handlers handlers);

    void start(Fd stream);
    // Done when nothing holds the guest any more. The handlers are called all the same.
    void cancel(Callback<Done> done);
    // Done when the stream has ended, well or not.
    void await_end(Callback<Done> done) { end_.join(std::move(done)); }

  private:
    void on_event(const Result<QmpEvent>& event);
    void on_migration(const QmpEvent& event);
    void cut(std::int64_t at_ns);
    void completed(const QmpEvent& event);
    void failed(const std::string& status);
    void end(Result<Done> outcome);
    void arm(Milliseconds limit, const char* what);

    std::shared_ptr<QemuGuest> guest_;
    const CaptureMethod method_;
    Handlers handlers_;
    asio::steady_timer deadline_;
    std::optional<Act<Done>> cancelling_;
    Act<Done> end_;
    bool cut_ = false;
    bool ended_ = false;
};

}  // namespace grl::bridge
