// One guest's connection to libxenlight: a context of its own, so that the lines libxenlight logs
// and the events it brings are this guest's and no other's.
//
// Threads: the io_context's; nothing blocks longer than a hypercall or a word with xenstored takes.
// Ownership: shared; an act under way holds it, since libxenlight forbids to free a context that
// works. libxenlight's children are told apart from the bridge's: it reaps its own only, after a
// SIGCHLD.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/host/process.h"
#include "vmm_bridge/xen/api.h"
#include "vmm_bridge/xen/log.h"
#include "vmm_bridge/xen/loop.h"

namespace grl::bridge {

class XenContext;

// One of libxenlight's asynchronous operations.
//
//     running ── libxenlight's callback ──► ended
//        └─ abort, deadline ──► aborting ── the callback, or it does not come ──► ended
class XenAct : public std::enable_shared_from_this<XenAct> {
  public:
    // It ends soon, mostly with an error. May be called at any time.
    void abort(const std::string& why);
    bool ended() const { return end_.done(); }
    void await(Callback<Done> done) { end_.join(std::move(done)); }

  private:
    friend class XenContext;
    XenAct(std::shared_ptr<XenContext> context, std::string what);
    static void on_callback(libxl_ctx*, int code, void* act);
    void arm(Milliseconds limit, const std::string& why);
    void returned(int code);
    void end(Result<Done> outcome);

    std::shared_ptr<XenContext> context_;
    std::string what_;
    std::string aborted_;  // why
    libxl_asyncop_how how_{};
    asio::steady_timer deadline_;
    std::shared_ptr<XenAct> self_;  // libxenlight's hold on it
    Act<Done> end_;
};

class XenContext : public std::enable_shared_from_this<XenContext> {
  public:
    // What to do about an error without a hypervisor stands in its text.
    static Result<std::shared_ptr<XenContext>> open(asio::io_context& io);
    ~XenContext();
    XenContext(const XenContext&) = delete;
    XenContext& operator=(const XenContext&) = delete;

    libxl_ctx* get() { return ctx_; }
    // Why a domain that wants so much finds no room; empty if it does, or if that cannot be asked.
    std::string room_fault(std::uint64_t wanted_kib);
    XenLog& log() { return log_; }
    asio::io_context& io() { return io_; }

    // Starts an operation: `call` hands the `how` to libxenlight and gives its return code. At most
    // one at a time, or the log's lines mix. Both reference parameters of libxenlight's must live
    // until `done`, which is never called from within this.
    std::shared_ptr<XenAct> start(std::string what, Milliseconds limit,
                                  const std::function<int(const libxl_asyncop_how* how)>& call,
                                  Callback<Done> done);
    // After the start of an act that saves or loads: returns when libxenlight's helper runs. Until
    // then libxenlight 4.17 survives neither an abort nor a stream that breaks.
    void await_helper(const XenAct& act);
    // What libxenlight's helper asks for is heard again only after go_on(), or an act's abort.
    void hold() {
        if (!aborting_) loop_->hold();
    }
    void go_on() { loop_->go_on(); }
    // The error of a call that returned `code`, with the lines that were logged.
    Error error(const std::string& what, int code) const;
    void on_event(std::function<void(const libxl_event&)> handler) {
        handler_ = std::move(handler);
    }

  private:
    friend class XenAct;
    explicit XenContext(asio::io_context& io);
    Result<void> allocate();
    void await_child();

    asio::io_context& io_;
    XenLog log_;
    std::shared_ptr<XenLoop> loop_;
    libxl_ctx* ctx_ = nullptr;
    bool aborting_ = false;
    bool forked_ = false;  // by the last act
    libxl_event_hooks event_hooks_{};
    std::function<void(const libxl_event&)> handler_;
    asio::signal_set children_;
};

}  // namespace grl::bridge
