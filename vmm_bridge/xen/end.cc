// A Xen guest's end: its own, of which the hypervisor tells, or the one that is wanted.
#include <unistd.h>

#include "grl/base/log.h"
#include "vmm_bridge/xen/guest.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kDestroyLimit{60'000};
constexpr std::uint32_t kNoDomain = static_cast<std::uint32_t>(INVALID_DOMID);

}  // namespace

// ---- what the hypervisor tells ----

// libxenlight tells of one shutdown of a domain, and a suspension is one: so again after each.
void XenGuest::await_death() {
    if (death_) libxl_evdisable_domain_death(context_->get(), std::exchange(death_, nullptr));
    context_->on_event([weak = weak_from_this()](const libxl_event& event) {
        if (auto self = weak.lock()) self->on_event(event);
    });
    const int code = libxl_evenable_domain_death(context_->get(), domain_, 0, &death_);
    if (code != 0) log_error(context_->error("watching guest " + definition_.name, code).text());
}

void XenGuest::on_event(const libxl_event& event) {
    if (event.domid != domain_ || ending()) return;
    if (event.type == LIBXL_EVENT_TYPE_DOMAIN_DEATH) return on_end("its domain was destroyed");
    if (event.type != LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN) return;
    const int reason = event.u.domain_shutdown.shutdown_reason;
    if (reason != LIBXL_SHUTDOWN_REASON_SUSPEND) return on_end("it has " + shutdown_text(reason));
    // What was told before a resume may come after it.
    if (suspended_ || !look()) return;
    if (suspending_ || watcher_ || (act_ && !act_->ended())) return;
    log_warning("guest " + definition_.name + " has suspended itself, unasked: it goes on");
    resume([](Result<Done> resumed) {
        if (!resumed) log_error(resumed.error().text());
    });
}

// Nobody else takes away what is left of it.
void XenGuest::on_end(const std::string& reason) {
    if (state() == GuestState::lost) return;
    const bool known = state() != GuestState::starting && state() != GuestState::arriving;
    set_state(GuestState::lost);
    destroy_domain([self = shared_from_this()](Result<Done> gone) {
        if (!gone) log_warning(gone.error().text());
        self->tell_changed();
    });
    if (known) tell_death(reason);
}

// ---- its end ----

void XenGuest::destroy(Callback<Done> done) {
    if (!join_ending(std::move(done))) return;
    destroy_domain([this, self = shared_from_this()](Result<Done> gone) {
        if (gone) {
            unlink(record_path_.c_str());
            set_state(GuestState::absent);
        }
        end(std::move(gone));
    });
}

// Behind a change of its devices, which is cut short.
void XenGuest::destroy_domain(Callback<Done> done) {
    if (frontend_) frontend_->finish(error("looking at the adapters of", "it is destroyed"));
    turns_.take([self = shared_from_this()](Callback<Done> ended) { self->end_domain(ended); },
                std::move(done));
}

void XenGuest::end_domain(Callback<Done> done) {
    stop_act("it is destroyed", [this, self = shared_from_this(), done](Result<Done>) {
        if (death_) libxl_evdisable_domain_death(context_->get(), std::exchange(death_, nullptr));
        if (domain_ == kNoDomain) return done(Done{});
        libxl_dominfo info;
        libxl_dominfo_init(&info);
        const int here = libxl_domain_info(context_->get(), &info, domain_);
        libxl_dominfo_dispose(&info);
        if (here == ERROR_DOMAIN_NOTFOUND) {
            domain_ = kNoDomain;
            return done(Done{});
        }
        act(
            "destroying", kDestroyLimit,
            [this](const libxl_asyncop_how* how) {
                return libxl_domain_destroy(context_->get(), domain_, how);
            },
            [this, self, done](Result<Done> gone) {
                if (gone) domain_ = kNoDomain;
                done(std::move(gone));
            });
    });
}

}  // namespace grl::bridge
