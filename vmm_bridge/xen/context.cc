#include "vmm_bridge/xen/context.h"

#include <linux/close_range.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "grl/base/log.h"
#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kAbortLimit{15'000};
constexpr Milliseconds kHelperLimit{1'000};

// ---- what libxenlight asks of an event loop ----

XenLoop& loop_of(void* user) {
    return *static_cast<XenLoop*>(user);
}

std::uint64_t number_of(void* registration) {
    return reinterpret_cast<std::uintptr_t>(registration);
}

int fd_register(void* user, int fd, void** registration, short events, void* tag) {
    const std::uint64_t watch = loop_of(user).watch(fd, events, tag);
    *registration = reinterpret_cast<void*>(watch);  // NOLINT: a number is what we need
    return watch ? 0 : ERROR_OSEVENT_REG_FAIL;
}

int fd_modify(void* user, int, void** registration, short events) {
    return loop_of(user).change(number_of(*registration), events) ? 0 : ERROR_OSEVENT_REG_FAIL;
}

void fd_deregister(void* user, int, void* registration) {
    loop_of(user).forget(number_of(registration));
}

int timeout_register(void* user, void** registration, timeval at, void* tag) {
    *registration = reinterpret_cast<void*>(loop_of(user).add_timeout(at, tag));  // NOLINT
    return 0;
}

int timeout_modify(void* user, void** registration, timeval) {
    loop_of(user).expire(number_of(*registration));
    return 0;
}

constexpr libxl_osevent_hooks kLoopHooks{fd_register,      fd_modify,      fd_deregister,
                                         timeout_register, timeout_modify, nullptr};

// ---- its children ----

// A helper may outlive the bridge: it must not keep the bridge's sockets open, as Asio's are
// inherited, nor act on the bridge's signals.
pid_t fork_child(void* forked) {
    // A signal for the child goes through Asio's pipe to the bridge while the handlers are Asio's.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const pid_t pid = fork();
    if (pid == 0) {
        close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
        for (int number : {SIGTERM, SIGINT, SIGCHLD}) signal(number, SIG_DFL);
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid > 0) *static_cast<bool*>(forked) = true;
    return pid;
}

constexpr libxl_childproc_hooks kChildHooks{libxl_sigchld_owner_mainloop, fork_child, nullptr};

Error no_xen(const std::string& why) {
    const std::string what = "opening the hypervisor";
    if (geteuid() != 0) {
        return fail(what, "", "only root may: run grl-bridge as root", ErrorKind::denied);
    }
    return fail(what, "",
                (why.empty() ? std::string("there is none") : why) +
                    ". This host must be Xen's dom0, with xenstored running, or another driver be "
                    "configured (bridge.driver)",
                ErrorKind::refused);
}

}  // namespace

// ---- an operation ----

XenAct::XenAct(std::shared_ptr<XenContext> context, std::string what)
    : context_(std::move(context)), what_(std::move(what)), deadline_(context_->io()) {
    how_.callback = on_callback;
    how_.u.for_callback = this;
}

// May come within the call that starts the operation.
void XenAct::on_callback(libxl_ctx*, int code, void* act) {
    auto self = std::exchange(static_cast<XenAct*>(act)->self_, nullptr);
    asio::io_context& io = self->context_->io();
    asio::post(io, [self = std::move(self), code] { self->returned(code); });
}

void XenAct::returned(int code) {
    if (code == 0) return end(Done{});
    if (aborted_.empty()) return end(context_->error(what_, code));
    end(fail(what_, "", aborted_));
}

void XenAct::end(Result<Done> outcome) {
    deadline_.cancel();
    end_.finish(std::move(outcome));
}

void XenAct::abort(const std::string& why) {
    if (ended() || !aborted_.empty()) return;
    aborted_ = why;
    // Its helper's last words are wanted.
    context_->aborting_ = true;
    context_->go_on();
    arm(kAbortLimit, why + ", and libxenlight does not come to an end");
    libxl_ao_abort(context_->get(), &how_);
}

void XenAct::arm(Milliseconds limit, const std::string& why) {
    deadline_.expires_after(limit);
    deadline_.async_wait([self = shared_from_this(), why](boost::system::error_code ec) {
        if (ec || self->ended()) return;
        if (self->aborted_.empty()) return self->abort(why);
        self->end(fail(self->what_, "", why));
    });
}

// ---- the context ----

XenContext::XenContext(asio::io_context& io)
    : io_(io), loop_(std::make_shared<XenLoop>(io)), children_(io, SIGCHLD) {}

Result<std::shared_ptr<XenContext>> XenContext::open(asio::io_context& io) {
    std::shared_ptr<XenContext> context(new XenContext(io));
    Result<void> allocated = context->allocate();
    if (!allocated) return allocated.error();
    return context;
}

Result<void> XenContext::allocate() {
    const int code = libxl_ctx_alloc(&ctx_, LIBXL_VERSION, 0, log_.logger());
    if (code != 0) {
        ctx_ = nullptr;
        return no_xen(log_.reason());
    }
    Result<void> opened =
        loop_->open({[this](void* tag, int fd, short events, short occurred) {
                         libxl_osevent_occurred_fd(ctx_, tag, fd, events, occurred);
                     },
                     [this](void* tag) { libxl_osevent_occurred_timeout(ctx_, tag); }});
    if (!opened) return opened;
    libxl_osevent_register_hooks(ctx_, &kLoopHooks, loop_.get());
    libxl_childproc_setmode(ctx_, &kChildHooks, &forked_);
    event_hooks_.event_occurs_mask = LIBXL_EVENTMASK_ALL;
    event_hooks_.event_occurs = [](void* user, libxl_event* event) {
        auto* self = static_cast<XenContext*>(user);
        // Not here: it may want to call libxenlight, which may then call this again.
        std::shared_ptr<libxl_event> owned(
            event, [self](libxl_event* e) { libxl_event_free(self->ctx_, e); });
        asio::post(self->io_, [context = self->shared_from_this(), owned = std::move(owned)] {
            if (context->handler_) context->handler_(*owned);
        });
    };
    event_hooks_.disaster = [](void*, libxl_event_type, const char* text, int number) {
        log_error(std::string("libxenlight loses events: ") + text + ": " + errno_text(number));
    };
    libxl_event_register_callbacks(ctx_, &event_hooks_, this);
    await_child();
    return {};
}

std::string XenContext::room_fault(std::uint64_t wanted_kib) {
    constexpr std::uint64_t kMibInKib = 1024;
    std::uint64_t free_kib = 0;
    if (libxl_get_free_memory(ctx_, &free_kib) != 0 || wanted_kib <= free_kib) return {};
    return "it needs " + std::to_string(wanted_kib / kMibInKib) + " MiB, the hypervisor has " +
           std::to_string(free_kib / kMibInKib) +
           " free: give dom0 less (dom0_mem=) or move a guest away";
}

XenContext::~XenContext() {
    if (ctx_) libxl_ctx_free(ctx_);
    loop_->close();
}

void XenContext::await_child() {
    children_.async_wait([weak = weak_from_this()](boost::system::error_code ec, int) {
        auto self = weak.lock();
        if (ec || !self) return;
        libxl_childproc_sigchld_occurred(self->ctx_);
        self->await_child();
    });
}

std::shared_ptr<XenAct> XenContext::start(
    std::string what, Milliseconds limit,
    const std::function<int(const libxl_asyncop_how* how)>& call, Callback<Done> done) {
    std::shared_ptr<XenAct> act(new XenAct(shared_from_this(), std::move(what)));
    act->self_ = act;
    act->end_.join(std::move(done));
    act->arm(limit, "it did not end within " + std::to_string(limit.count() / 1000) + " s");
    log_.clear();
    aborting_ = false;
    forked_ = false;
    const int code = call(&act->how_);
    if (code != 0 && act->self_) {
        act->self_.reset();
        asio::post(io_, [act, code] { act->returned(code); });
    }
    return act;
}

// What libxenlight does before its helper runs neither waits for anyone nor takes long.
void XenContext::await_helper(const XenAct& act) {
    loop_->drive([this, &act] { return forked_ || !act.self_; }, kHelperLimit);
}

Error XenContext::error(const std::string& what, int code) const {
    std::string why = log_.reason(code);
    const bool refused = log_.mentions(kLogDirtyWords);
    if (refused) {
        why = "the hypervisor cannot note what this guest writes while it runs (" + why + ")";
    }
    return fail(what, "", why, refused ? ErrorKind::refused : ErrorKind::failed);
}

}  // namespace grl::bridge
