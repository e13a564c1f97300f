#include "vmm_bridge/xen/guest.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/host/definitions.h"
#include "vmm_bridge/xen/store.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kSuspendLimit{20'000};
constexpr Milliseconds kResumeLimit{20'000};
constexpr Milliseconds kDestroyLimit{60'000};
constexpr Milliseconds kAskLimit{20'000};
constexpr int kCooperative = 1;  // the guest is told that it goes on where it was
constexpr std::uint32_t kNoDomain = static_cast<std::uint32_t>(INVALID_DOMID);

}  // namespace

XenGuest::XenGuest(std::shared_ptr<XenContext> context, GuestDefinition definition,
                   XenSection section, const std::string& run_dir, Handlers handlers)
    : context_(std::move(context)),
      definition_(std::move(definition)),
      section_(std::move(section)),
      digest_(definition_digest(definition_)),
      record_path_(run_dir + "/" + definition_.name + ".xen"),
      handlers_(std::move(handlers)) {}

Error XenGuest::error(const std::string& act, const std::string& why, ErrorKind kind) const {
    return fail(act + " guest " + definition_.name, "", why, kind);
}

void XenGuest::set_state(GuestState state) {
    if (state == state_) return;
    state_ = state;
    if (handlers_.changed) handlers_.changed();
}

std::shared_ptr<XenAct> XenGuest::act(const std::string& what, Milliseconds limit,
                                      const std::function<int(const libxl_asyncop_how*)>& call,
                                      Callback<Done> done) {
    if (act_ && !act_->ended()) {
        asio::post(io(), [e = error(what, "another act is under way", ErrorKind::refused),
                          done = std::move(done)] { done(e); });
        return nullptr;
    }
    act_ = context_->start(what + " guest " + definition_.name, limit, call, std::move(done));
    return act_;
}

void XenGuest::stop_act(const std::string& why, Callback<Done> done) {
    if (!act_ || act_->ended()) return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    act_->abort(why);
    // Whoever began it is told first, and then this.
    act_->await([this, self = shared_from_this(), done = std::move(done)](const Result<Done>&) {
        asio::post(io(), [done] { done(Done{}); });
    });
}

// ---- freeze ----

void XenGuest::freeze(Callback<std::int64_t> done) {
    if (state_ == GuestState::paused && suspended_) {
        return asio::post(io(), [at = stopped_at_ns_, done = std::move(done)] { done(at); });
    }
    if (state_ != GuestState::running || ending_) {
        const std::string why = ending_ ? "it is being destroyed"
                                : state_ == GuestState::paused
                                    ? "it was restored and has not run since: let it run first"
                                    : "it is " + name_of(state_);
        asio::post(io(), [e = error("stopping", why, ErrorKind::refused), done = std::move(done)] {
            done(e);
        });
        return;
    }
    stopped_at_ns_ = 0;
    suspending_ = true;
    act(
        "stopping", kSuspendLimit,
        [this](const libxl_asyncop_how* how) {
            return libxl_domain_suspend_only(context_->get(), domain_, how);
        },
        [this, self = shared_from_this(), done](Result<Done> stopped) {
            suspending_ = false;
            if (!stopped) return settle(stopped.error(), done);
            on_suspended();
            set_state(GuestState::paused);
            done(stopped_at_ns_);
        });
}

// It may have been suspended all the same.
void XenGuest::settle(const Error& why, const Callback<std::int64_t>& done) {
    forget_request();
    if (!look()) return done(why);
    resume([why, done](Result<Done> resumed) {
        if (!resumed) log_error(resumed.error().text());
        done(why);
    });
}

bool XenGuest::look() {
    if (domain_ == kNoDomain) return false;
    libxl_dominfo info;
    libxl_dominfo_init(&info);
    const bool here = libxl_domain_info(context_->get(), &info, domain_) == 0;
    const bool stands =
        here && info.shutdown && info.shutdown_reason == LIBXL_SHUTDOWN_REASON_SUSPEND;
    libxl_dominfo_dispose(&info);
    if (stands) on_suspended();
    return stands;
}

void XenGuest::forget_request() {
    auto answer = SuspendAnswer::open(io(), domain_);
    answer ? (*answer)->take_away() : log_warning(answer.error().text());
}

void XenGuest::on_suspended() {
    if (std::exchange(suspended_, true)) return;
    stopped_at_ns_ = now_ns();
    if (watcher_) watcher_();
}

// ---- resume ----

void XenGuest::resume(Callback<Done> done) {
    if (state_ == GuestState::running && !suspended_) {
        return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    }
    if (state_ != GuestState::running && state_ != GuestState::paused &&
        state_ != GuestState::arrived && state_ != GuestState::moved) {
        return asio::post(io(),
                          [e = error("resuming", "it is " + name_of(state_), ErrorKind::refused),
                           done = std::move(done)] { done(e); });
    }
    Result<void> named = rename(definition_.name);
    if (!named) return asio::post(io(), [e = named.error(), done = std::move(done)] { done(e); });
    auto resumed = [this, self = shared_from_this(), done = std::move(done)](Result<Done> ran) {
        if (!ran) return done(ran);
        finish_resume(done);
    };
    if (!suspended_) return unpause("resuming", std::move(resumed));
    act(
        "resuming", kResumeLimit,
        [this](const libxl_asyncop_how* how) {
            return libxl_domain_resume(context_->get(), domain_, kCooperative, how);
        },
        std::move(resumed));
}

void XenGuest::unpause(const std::string& what, Callback<Done> done) {
    act(
        what, kResumeLimit,
        [this](const libxl_asyncop_how* how) {
            return libxl_domain_unpause(context_->get(), domain_, how);
        },
        std::move(done));
}

void XenGuest::finish_resume(Callback<Done> done) {
    libxl_dominfo info;
    libxl_dominfo_init(&info);
    const int code = libxl_domain_info(context_->get(), &info, domain_);
    const bool runs = code == 0 && !info.paused && !info.shutdown;
    libxl_dominfo_dispose(&info);
    if (!runs) return done(error("resuming", "the hypervisor says that it does not run"));
    suspended_ = false;
    await_death();
    set_state(GuestState::running);
    done(Done{});
}

Result<void> XenGuest::rename(const std::string& name) {
    if (domain_name_ == name) return {};
    const int code =
        libxl_domain_rename(context_->get(), domain_, domain_name_.c_str(), name.c_str());
    if (code != 0) {
        return context_->error("renaming domain " + domain_name_ + " to " + name, code);
    }
    domain_name_ = name;
    return {};
}

void XenGuest::set_moved() {
    Result<void> named = rename(definition_.name + "--moved");
    if (!named) log_warning(named.error().text());
    set_state(GuestState::moved);
}

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
    if (event.domid != domain_ || ending_) return;
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
    if (state_ == GuestState::lost) return;
    const bool known = state_ != GuestState::starting && state_ != GuestState::arriving;
    set_state(GuestState::lost);
    destroy_domain([self = shared_from_this()](Result<Done> gone) {
        if (!gone) log_warning(gone.error().text());
        if (self->handlers_.changed) self->handlers_.changed();
    });
    if (known && handlers_.died) handlers_.died(reason);
}

// ---- its end ----

void XenGuest::destroy(Callback<Done> done) {
    if (!ending_) ending_.emplace();
    if (!ending_->join(std::move(done))) return;
    destroy_domain([this, self = shared_from_this()](Result<Done> gone) {
        Act<Done> ending = std::move(*ending_);
        ending_.reset();
        if (gone) {
            unlink(record_path_.c_str());
            set_state(GuestState::absent);
        }
        ending.finish(std::move(gone));
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

// ---- before a capture or a move ----

std::string XenGuest::why_not_live() const {
    if (definition_.adapters > 0) return "its adapters go when its job is silent";
    return "the hypervisor cannot note what a " + section_.type + " guest writes";
}

void XenGuest::examine(const std::string& what, Callback<Done> done) {
    const auto foreign = std::ranges::count_if(
        devices(), [this](const PciAddress& device) { return !is_its_adapter(device); });
    if (foreign > 0) {
        return asio::post(
            io(), [e = error(what,
                             "it has " + std::to_string(foreign) +
                                 " passed-through PCI device(s) besides its adapters, which a save "
                                 "would break: detach them first (xl pci-detach)",
                             ErrorKind::refused),
                   done = std::move(done)] { done(e); });
    }
    libxl_physinfo host;
    libxl_physinfo_init(&host);
    if (libxl_get_physinfo(context_->get(), &host) == 0) {
        can_go_live_ = definition_.adapters == 0 &&
                       (host.cap_shadow || (section_.type != "pv" && host.cap_hap));
    }
    libxl_physinfo_dispose(&host);
    auto config = std::make_shared<XenConfig>();
    act(
        what, kAskLimit,
        [this, config](const libxl_asyncop_how* how) {
            return libxl_retrieve_domain_configuration(context_->get(), domain_, config->get(),
                                                       how);
        },
        [this, self = shared_from_this(), config, what, done](Result<Done> got) {
            if (!got) return done(got);
            config->set_name(definition_.name);
            config->forget_adapters();
            char* json = libxl_domain_config_to_json(context_->get(), config->get());
            configuration_ = json ? json : "";
            std::free(json);
            if (configuration_.empty()) {
                return done(error(what, "its configuration cannot be put into JSON"));
            }
            done(Done{});
        });
}

}  // namespace grl::bridge
