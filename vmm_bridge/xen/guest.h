// One guest in Xen: its domain and its state.
//
//     absent ──start──► starting ──────────────► running ◄──resume── paused
//        ├──── load ──► starting | arriving ───► paused | arrived      ▲
//        │                         running ── freeze: suspended ───────┘
//        │              suspended ── all of it sent ──► moved ──resume──► running
//        └──── adopt (a restarted bridge) ──► running | paused | arrived | moved
//     any ── its domain shuts down or is gone ──► lost
//     any ──destroy──► domain gone, its file removed ──► absent
//
// "Suspended" is the guest's own doing: it has put its devices to rest and waits in the hypervisor,
// which is what a save needs and what lasts until libxenlight resumes it. A domain that the
// hypervisor has paused cannot be saved; only one that was loaded and has not run yet is so.
//
// What the next bridge must know stands in the domain's name: NAME, NAME--incoming (being loaded;
// it goes), NAME--arrived, NAME--moved; and in <run_dir>/NAME.xen: UUID and definition.
//
// Threads: the io_context's. Ownership: shared, since libxenlight's callbacks hold it.
#pragma once

#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "grl/messages/phase.h"
#include "vmm_bridge/host/hosted_guest.h"
#include "vmm_bridge/host/passthrough.h"
#include "vmm_bridge/xen/config.h"
#include "vmm_bridge/xen/context.h"

namespace grl::bridge {

// What a bridge leaves behind for the next one.
struct XenRecord : Defaulted {
    std::string uuid;
    GuestDefinition definition;
};
BOOST_DESCRIBE_STRUCT(XenRecord, (), (uuid, definition))

// A domain as the hypervisor shows it.
struct XenDomain {
    std::uint32_t id = 0;
    std::string name;
    std::string uuid;
    bool paused = false;
    bool shut_down = false;
    bool suspended = false;  // the reason of that
};
std::vector<XenDomain> list_domains(XenContext& context);
// As in the enumeration of libxenlight: "powered off", "crashed".
std::string shutdown_text(int reason);

class XenGuest : public HostedGuest, public std::enable_shared_from_this<XenGuest> {
  public:
    XenGuest(std::shared_ptr<XenContext> context, GuestDefinition definition, XenSection section,
             const std::string& run_dir, Handlers handlers);

    static Result<XenRecord> left_behind(const std::string& run_dir, const std::string& guest);

    void start(Callback<Done> done);
    // From a stream (stream.h); `loaded` is what it is then: paused or arrived.
    void load(Fd stream, GuestState loaded, Callback<Done> done);
    void adopt(const XenDomain& domain, Callback<Done> done);
    void destroy(Callback<Done> done);

    void freeze(Callback<std::int64_t> done);
    void resume(Callback<Done> done);

    // What can be asked before a capture or a move; the answer stays for configuration().
    void examine(const std::string& act, Callback<Done> done);
    const std::string& configuration() const { return configuration_; }  // of its domain; JSON
    bool can_go_live() const { return can_go_live_; }  // the hypervisor notes what it writes
    std::string why_not_live() const;

    void detach_devices(Callback<Done> done);
    void attach_devices(Callback<Done> done);  // those it lacks
    void find_devices(const std::vector<std::string>& all,
                      Callback<std::vector<std::string>> done);
    // What is passed through to it now, of whoever's doing.
    std::vector<PciAddress> devices();

    // Its one act at a time; see XenContext::start.
    std::shared_ptr<XenAct> act(const std::string& what, Milliseconds limit,
                                const std::function<int(const libxl_asyncop_how*)>& call,
                                Callback<Done> done);
    // Ends whatever is under way; done when it is over.
    void stop_act(const std::string& why, Callback<Done> done);
    // Looks whether the domain is suspended now; whoever fails in the middle of a save must.
    bool look();
    // Takes back what asked it to suspend, if it has not heeded that yet.
    void forget_request();
    void set_moved();
    // At most one is told when the domain is suspended.
    void watch_suspension(std::function<void()> watcher) { watcher_ = std::move(watcher); }

    bool suspended() const { return suspended_; }
    std::uint32_t domain() const { return domain_; }
    bool has_domain() const { return domain_ != static_cast<std::uint32_t>(INVALID_DOMID); }
    bool exists() const { return has_domain(); }
    // A domain has its memory from the beginning, all of it.
    std::uint64_t resident_bytes() const;
    XenContext& context() { return *context_; }
    asio::io_context& io() { return context_->io(); }

  private:
    void begin_detach(Callback<Done> done);
    void begin_attach(Callback<Done> done);
    void await_frontend(Callback<Done> done);
    bool ends() const { return ending() || state() == GuestState::lost; }
    std::vector<PciAddress> own_addresses() const;
    Result<void> check_room(XenConfig& config);
    Result<void> record(const XenConfig& config);
    void create(std::shared_ptr<XenConfig> config, Callback<Done> done);
    void build(XenConfig* config, Fd stream, GuestState then, Callback<Done> done);
    void undo_launch(const Error& why, const Callback<Done>& done);
    void unpause(const std::string& act, Callback<Done> done);
    void await_death();
    void on_event(const libxl_event& event);
    void on_suspended();
    void on_end(const std::string& reason);
    void settle(const Error& why, const Callback<std::int64_t>& done);
    void destroy_domain(Callback<Done> done);
    void end_domain(Callback<Done> done);
    void finish_resume(Callback<Done> done);
    Result<void> rename(const std::string& name);

    std::shared_ptr<XenContext> context_;
    const XenSection section_;
    const std::string record_path_;
    std::uint32_t domain_ = static_cast<std::uint32_t>(INVALID_DOMID);
    std::string domain_name_;
    std::shared_ptr<XenAct> act_;
    libxl_evgen_domain_death* death_ = nullptr;
    std::function<void()> watcher_;
    Turns turns_;                          // of what changes its devices, and of its end
    std::shared_ptr<Act<Done>> frontend_;  // that is waited for
    std::string configuration_;
    bool can_go_live_ = false;
    bool suspended_ = false;
    bool suspending_ = false;  // we have asked it to
};

}  // namespace grl::bridge
