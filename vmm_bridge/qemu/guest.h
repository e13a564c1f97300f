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
#include "vmm_bridge/host/process.h"
#include "vmm_bridge/qemu/paths.h"
#include "vmm_bridge/qemu/qmp.h"
#include "vmm_bridge/qemu/section.h"

namespace grl::bridge {

class QemuGuest : public std::enable_shared_from_this<QemuGuest> {
  public:
    struct Handlers {
        std::function<void()> changed;
        std::function<void(const std::string& reason)> died;
    };

    QemuGuest(asio::io_context& io, GuestDefinition definition, QemuSection section,
              const std::string& run_dir, Handlers handlers);
    ~QemuGuest();
    QemuGuest(const QemuGuest&) = delete;
    QemuGuest& operator=(const QemuGuest&) = delete;

    // What must be known to take over a guest of a bridge that is gone, or to clear up after it: its
    // definition, or nothing if it left none.
    static std::optional<GuestDefinition> left_behind(const std::string& run_dir,
                                                      const std::string& guest);

    enum class Launch { boot, restore, arrive };
    // Of `adapters` (qemu_adapters.h) only one that boots has any yet.
    void launch(Launch how, const std::vector<std::string>& adapters, Callback<Done> done);
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

    // Whoever is told by its id of a device that the guest has let go of.
    void watch_unplugs(std::function<void(const std::string& device)> watcher) {
        unplug_watcher_ = std::move(watcher);
    }

    const GuestDefinition& definition() const { return definition_; }
    const QemuSection& section() const { return section_; }
    const std::string& digest() const { return digest_; }
    GuestState state() const { return state_; }
    void set_state(GuestState state);
    std::int64_t stopped_at_ns() const { return stopped_at_ns_; }
    std::uint64_t resident_bytes() const {
        return process_ ? resident_bytes_of(process_->pid()) : 0;
    }
    asio::io_context& io() { return io_; }

  private:
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
    GuestDefinition definition_;
    QemuSection section_;  // of it
    std::string digest_;
    QemuPaths paths_;
    Handlers handlers_;
    GuestState state_ = GuestState::absent;
    std::optional<Process> process_;
    std::shared_ptr<Qmp> qmp_;
    std::function<void(const Result<QmpEvent>&)> watcher_;
    std::function<void(const std::string&)> unplug_watcher_;
    std::int64_t stopped_at_ns_ = 0;
    bool shut_down_ = false;  // by the guest itself
    bool launching_ = false;  // its process is not known yet
    bool incoming_ = false;   // loaded, not yet run: the network must learn where it is
    std::optional<Act<Done>> ending_;
    asio::steady_timer timer_;  // for its process to end
};

}  // namespace grl::bridge
