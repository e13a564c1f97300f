#include "vmm_bridge/xen/guest.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/xen/store.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kSuspendLimit{20'000};
constexpr Milliseconds kResumeLimit{20'000};
constexpr Milliseconds kAskLimit{20'000};
constexpr std::uint64_t kStreamMargin = 8U << 20;  // bytes: page numbers, device state
constexpr int kCooperative = 1;  // the guest is told that it goes on where it was
constexpr std::uint32_t kNoDomain = static_cast<std::uint32_t>(INVALID_DOMID);

}  // namespace

XenGuest::XenGuest(std::shared_ptr<XenContext> context, GuestDefinition definition,
                   XenSection section, const std::string& run_dir, Handlers handlers)
    : HostedGuest(std::move(definition), std::move(handlers)),
      context_(std::move(context)),
      section_(std::move(section)),
      record_path_(run_dir + "/" + definition_.name + ".xen") {}

std::uint64_t XenGuest::resident_bytes() const {
    return (definition_.memory_mib << 20) + kStreamMargin;
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
    if (state() == GuestState::paused && suspended_) {
        return asio::post(io(), [at = stopped_at_ns_, done = std::move(done)] { done(at); });
    }
    if (state() != GuestState::running || ending()) {
        const std::string why = ending() ? "it is being destroyed"
                                : state() == GuestState::paused
                                    ? "it was restored and has not run since: let it run first"
                                    : "it is " + name_of(state());
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
    if (state() == GuestState::running && !suspended_) {
        return asio::post(io(), [done = std::move(done)] { done(Done{}); });
    }
    if (state() != GuestState::running && state() != GuestState::paused &&
        state() != GuestState::arrived && state() != GuestState::moved) {
        return asio::post(io(),
                          [e = error("resuming", "it is " + name_of(state()), ErrorKind::refused),
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

// ---- before a capture or a move ----

std::string XenGuest::why_not_live() const {
    if (definition_.adapters > 0) return "its adapters go when its job is silent";
    return "the hypervisor cannot note what a " + section_.type + " guest writes";
}

void XenGuest::examine(const std::string& what, Callback<Done> done) {
    const auto foreign =
        std::ranges::count_if(devices(), [its = own_addresses()](const PciAddress& device) {
            return std::ranges::find(its, device) == its.end();
        });
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
            config->forget_devices();
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
