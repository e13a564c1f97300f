// One guest in QEMU: its process, its monitor and its state.
//
//     absent ──launch──► starting ──┬─ boot ────────► running ◄──resume── paused
//                │                  └─ restore ─────► paused                 ▲
//                │                                       running ──freeze────┘
//                └─ arrive ► arriving ──► arrived ──resume──► running
//                         running ── all of it sent ──► moved ──resume──► running
//     adopt (a restarted bridge) ──► running | paused | arrived | moved
//     any ── its process ends ──► lost (or ending, where that was wanted)
//     any ──destroy──► ending ── process gone, taps and files removed ──► absent
//
// Threads: the io_context's. Ownership: shared, since callbacks of the monitor hold it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "grl/messages/opening.h"
#include "grl/messages/phase.h"
#include "vmm_bridge/host/hosted_guest.h"
#include "vmm_bridge/host/process.h"
#include "vmm_bridge/qemu/passthrough.h"
#include "vmm_bridge/qemu/paths.h"
#include "vmm_bridge/qemu/qmp.h"
#include "vmm_bridge/qemu/section.h"

namespace grl::bridge {

class QemuGuest : public HostedGuest, public std::enable_shared_from_this<QemuGuest> {
  public:
    QemuGuest(asio::io_context& io, GuestDefinition definition, QemuSection section,
              const std::string& run_dir, Handlers handlers);
    ~QemuGuest();

    // What must be known to take over a guest of a bridge that is gone, or to clear up after it: its
    // definition, or nothing if it left none.
    static std::optional<GuestDefinition> left_behind(const std::string& run_dir,
                                                      const std::string& guest);

    void start(Callback<Done> done);
    // `then` is what it is when it has been loaded: paused, or arrived from another host.
    void load(Fd stream, GuestState then, Callback<Done> done);
    void adopt(Callback<Done> done);
    void destroy(Callback<Done> done);

    void freeze(Callback<std::int64_t> done);
    void resume(Callback<Done> done);
    // Held by a line, or on its way to another host: if this bridge ends, the next one knows.
    void mark_frozen(bool frozen);
    void mark_moving(bool moving);

    // One of its monitor's commands, with the usual deadline.
    void command(const std::string& name, json::object arguments, Callback<json::value> done,
                 Fd pass = Fd());
    void command(const std::string& name, json::object arguments, Milliseconds limit,
                 Callback<json::value> done, Fd pass = Fd());
    // Waits until query-status says one of `wanted`; asks every few milliseconds.
    void await_status(std::vector<std::string> wanted, Callback<std::string> done);
    void set_capability(const std::string& name, bool on, Callback<Done> done);
    // At most one at a time sees the monitor's events and its end; empty: nobody.
    void watch(std::function<void(const Result<QmpEvent>&)> watcher) {
        watcher_ = std::move(watcher);
    }

    bool exists() const { return process_.has_value(); }
    void find_devices(const std::vector<std::string>& all,
                      Callback<std::vector<std::string>> done) {
        passthrough_.find(all, std::move(done));
    }
    void detach_devices(Callback<Done> done) { passthrough_.unplug(std::move(done)); }
    void attach_devices(Callback<Done> done) { passthrough_.plug(std::move(done)); }

    const QemuSection& section() const { return section_; }
    std::uint64_t resident_bytes() const {
        return process_ ? resident_bytes_of(process_->pid()) : 0;
    }
    asio::io_context& io() { return io_; }

  private:
    enum class Launch { boot, restore, arrive };
    void launch(Launch how, Callback<Done> done);
    Result<void> prepare_host();
    void clear_host();
    void launched(Launch how, Result<Output> output, Callback<Done> done);
    Result<void> open_process();
    void connect(Callback<Done> done);
    void settle_adopted(const std::string& status, Callback<Done> done);
    void poll_status(std::vector<std::string> wanted, std::int64_t deadline_ms,
                     Callback<std::string> done);
    void on_event(const QmpEvent& event);
    void on_monitor_closed(const Error& error);
    void on_process_ended();
    void mark(const std::string& path, bool there);
    void settle_capture(Callback<Done> done);
    void give_up_adopting(const Error& why, Callback<Done> done);
    std::string last_words() const;
    void end_process();

    asio::io_context& io_;
    const QemuSection section_;
    const QemuPaths paths_;
    std::optional<Process> process_;
    std::shared_ptr<Qmp> qmp_;
    std::function<void(const Result<QmpEvent>&)> watcher_;
    bool shut_down_ = false;  // by the guest itself
    bool launching_ = false;  // its process is not known yet
    bool incoming_ = false;   // loaded, not yet run: the network must learn where it is
    QemuPassthrough passthrough_;
    asio::steady_timer timer_;  // for its process to end
};

}  // namespace grl::bridge
