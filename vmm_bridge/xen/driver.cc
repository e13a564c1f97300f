#include "vmm_bridge/xen/driver.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <filesystem>

#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/xen/orphans.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kCaptureLimit{600'000};     // the line's own deadline is shorter
constexpr std::uint64_t kStreamMargin = 8U << 20;  // bytes: page numbers, device state

std::string version_of(XenContext& context) {
    const libxl_version_info* info = libxl_get_version_info(context.get());
    if (!info) return "Xen";
    return "Xen " + std::to_string(info->xen_version_major) + "." +
           std::to_string(info->xen_version_minor) +
           (info->xen_version_extra ? info->xen_version_extra : "");
}

}  // namespace

// ---- open ----

void XenDriver::open(Events events, Callback<Done> done) {
    events_ = std::move(events);
    Result<std::shared_ptr<XenContext>> host = XenContext::open(io_);
    if (!host) return asio::post(io_, [e = host.error(), done = std::move(done)] { done(e); });
    host_ = std::move(*host);
    version_ = version_of(*host_);
    end_orphaned_helpers();
    adopt_all(std::move(done));
}

void XenDriver::adopt_all(Callback<Done> done) {
    const std::vector<XenDomain> domains = list_domains(*host_);
    std::vector<std::pair<std::shared_ptr<XenGuest>, XenDomain>> found;
    std::error_code ec;
    for (std::filesystem::directory_iterator at(run_dir_, ec), end; !ec && at != end;
         at.increment(ec)) {
        const std::string name = at->path().stem();
        if (at->path().extension() != ".xen" || !valid_name(name)) continue;
        Result<XenRecord> record = XenGuest::left_behind(run_dir_, name);
        if (!record) {
            log_warning(record.error().text());
            continue;
        }
        auto domain = std::find_if(domains.begin(), domains.end(), [&](const XenDomain& d) {
            return d.uuid == record->uuid && d.name.starts_with(name);
        });
        if (domain == domains.end()) continue;
        Result<std::shared_ptr<XenGuest>> guest = add(record->definition);
        if (guest) found.emplace_back(*guest, *domain);
    }
    gather_done(
        found,
        [this](const auto& one, Callback<Done> adopted) {
            auto guest = one.first;
            guest->adopt(one.second, [this, guest, adopted](Result<Done> result) {
                // One that cannot be taken over must not keep the others from it.
                if (!result) log_warning("taking over a guest: " + result.error().text());
                if (guest->state() == GuestState::absent) drop(guest->definition().name, guest);
                if (result) log_info("took over guest " + guest->definition().name);
                if (result) find_adapters(guest);
                adopted(Done{});
            });
        },
        [this, found, done = std::move(done)](const Result<Done>&) {
            std::vector<std::shared_ptr<XenGuest>> guests;
            guests.reserve(found.size());
            for (const auto& [guest, domain] : found) {
                auto at = guests_.find(guest->definition().name);
                const bool here = at != guests_.end() && at->second.guest == guest;
                if (here && guest->state() != GuestState::lost) guests.push_back(guest);
            }
            give_adapters_back(guests, done);
        });
}

void XenDriver::find_adapters(const std::shared_ptr<XenGuest>& guest) {
    const auto there = guest->devices();
    for (const std::string& adapter : adapters_.all()) {
        const auto address = parse_pci_address(adapter);
        if (address && std::ranges::find(there, *address) != there.end()) {
            adapters_.found(guest->definition().name, adapter);
        }
    }
}

// When it is known whose each is: some may be out for a line that the bridge before us was at.
void XenDriver::give_adapters_back(const std::vector<std::shared_ptr<XenGuest>>& guests,
                                   Callback<Done> done) {
    // First all of theirs, so that none is given away.
    for (const auto& guest : guests) {
        Result<void> reserved = reserve_adapters(guest);
        if (!reserved) log_error(reserved.error().text());
    }
    gather_done(
        guests,
        [this](const std::shared_ptr<XenGuest>& guest, Callback<Done> one) {
            if (guest->state() != GuestState::running) return one(Done{});
            attach_devices(guest->definition().name, [one](const Result<Done>& attached) {
                if (!attached) log_error(attached.error().text());
                one(Done{});
            });
        },
        std::move(done));
}

// Its own from now on, wherever they are.
Result<void> XenDriver::reserve_adapters(const std::shared_ptr<XenGuest>& guest) {
    auto its = adapters_.take(guest->definition().name, guest->definition().adapters);
    if (!its) return its.error();
    guest->set_adapters(*its);
    return {};
}

// ---- the table of guests ----

Result<std::shared_ptr<XenGuest>> XenDriver::add(const GuestDefinition& definition) {
    Result<XenSection> section = xen_section(definition);
    if (!section) return section.error();
    Result<std::shared_ptr<XenContext>> context = XenContext::open(io_);
    if (!context) return context.error();
    const std::string name = definition.name;
    auto guest =
        std::make_shared<XenGuest>(*context, definition, *section, run_dir_,
                                   XenGuest::Handlers{[this, name] { changed(name); },
                                                      [this, name](const std::string& reason) {
                                                          if (events_.died)
                                                              events_.died(name, reason);
                                                      }});
    guests_[name] = {guest, nullptr};
    return guest;
}

void XenDriver::changed(const std::string& name) {
    auto at = guests_.find(name);
    if (at != guests_.end() && at->second.guest->state() == GuestState::lost &&
        !at->second.guest->has_domain()) {
        adapters_.release(name);
    }
    if (events_.changed) events_.changed();
}

// Those of a lost guest are about to be: its domain goes.
std::size_t XenDriver::adapters_free() const {
    std::size_t free = adapters_.free();
    for (const auto& [name, entry] : guests_) {
        if (entry.guest->state() == GuestState::lost) free += adapters_.count_of(name);
    }
    return free;
}

std::shared_ptr<XenGuest> XenDriver::make_room(const std::string& act,
                                               const GuestDefinition& definition,
                                               const Callback<Done>& done) {
    const std::string& name = definition.name;
    auto refuse = [&](const Error& e) {
        asio::post(io_, [e, done] { done(e); });
        return nullptr;
    };
    const std::string what = act + " guest " + name;
    if (auto at = guests_.find(name); at != guests_.end()) {
        const GuestState state = at->second.guest->state();
        if (state != GuestState::lost) {
            return refuse(fail(what, "", "it is here, " + name_of(state), ErrorKind::refused));
        }
        guests_.erase(at);
        adapters_.release(name);
    }
    for (const XenDomain& domain : list_domains(*host_)) {
        if (domain.name != name && !domain.name.starts_with(name + "--")) continue;
        return refuse(fail(what, "",
                           "domain " + domain.name + " (" + std::to_string(domain.id) +
                               ") is here and not the bridge's: destroy or rename it (xl)",
                           ErrorKind::refused));
    }
    Result<std::shared_ptr<XenGuest>> guest = add(definition);
    if (!guest) return refuse(guest.error());
    if (Result<void> reserved = reserve_adapters(*guest); !reserved) {
        guests_.erase(name);
        return refuse(reserved.error());
    }
    return *guest;
}

void XenDriver::drop(const std::string& guest, const std::shared_ptr<XenGuest>& which) {
    auto at = guests_.find(guest);
    if (at != guests_.end() && at->second.guest == which) {
        guests_.erase(at);
        adapters_.release(guest);
    }
    if (events_.changed) events_.changed();
}

template <class T>
std::shared_ptr<XenGuest> XenDriver::find(const std::string& act, const std::string& guest,
                                          const Callback<T>& done) {
    auto at = guests_.find(guest);
    if (at != guests_.end()) return at->second.guest;
    asio::post(io_, [act, guest, done] {
        done(fail(act + " guest " + guest, "", "it is not on this host", ErrorKind::not_found));
    });
    return nullptr;
}

// A domain has its memory from the beginning, all of it.
std::vector<GuestView> XenDriver::list() const {
    std::vector<GuestView> views;
    for (const auto& [name, entry] : guests_) {
        const GuestDefinition& definition = entry.guest->definition();
        views.push_back({definition, entry.guest->digest(), entry.guest->state(),
                         (definition.memory_mib << 20) + kStreamMargin});
    }
    return views;
}

// ---- start, destroy ----

Result<void> XenDriver::check_room(const GuestDefinition& definition) const {
    Result<void> adapters = adapters_.check(definition.name, definition.adapters);
    if (!adapters) return adapters;
    const std::string fault = host_->room_fault(definition.memory_mib << 10);
    if (fault.empty()) return {};
    return fail("placing guest " + definition.name, "", fault, ErrorKind::refused);
}

void XenDriver::start(const GuestDefinition& definition, Callback<Done> done) {
    const std::string name = definition.name;
    if (auto at = guests_.find(name);
        at != guests_.end() && at->second.guest->state() == GuestState::running) {
        return asio::post(io_, [done = std::move(done)] { done(Done{}); });
    }
    auto guest = make_room("starting", definition, done);
    if (!guest) return;
    guest->start([this, guest, name, done = std::move(done)](Result<Done> started) {
        if (!started) drop(name, guest);
        done(std::move(started));
    });
}

void XenDriver::destroy(const std::string& name, Callback<Done> done) {
    auto at = guests_.find(name);
    if (at == guests_.end()) return asio::post(io_, [done = std::move(done)] { done(Done{}); });
    auto guest = at->second.guest;
    guest->destroy([this, guest, name, done = std::move(done)](Result<Done> destroyed) {
        if (destroyed) drop(name, guest);
        done(std::move(destroyed));
    });
}

// ---- a capture ----

void XenDriver::prepare(const std::string& name, CaptureMethod method, Callback<Done> done) {
    auto guest = find("preparing", name, done);
    if (!guest) return;
    if (method == CaptureMethod::background) {
        return asio::post(io_, [name, done = std::move(done)] {
            done(fail("preparing guest " + name, "",
                      "Xen cannot save a guest as it was while that runs on", ErrorKind::refused));
        });
    }
    // Anew, as its devices may be others than at the last capture.
    const bool live = method == CaptureMethod::live;
    guest->examine("preparing", [guest, live, done = std::move(done)](Result<Done> ready) {
        if (!ready || !live || guest->can_go_live()) return done(std::move(ready));
        done(fail("preparing guest " + guest->definition().name, "", guest->why_not_live(),
                  ErrorKind::refused));
    });
}

void XenDriver::detach_devices(const std::string& name, Callback<Done> done) {
    if (auto guest = find("taking the adapters out of", name, done)) {
        guest->detach_adapters(std::move(done));
    }
}

void XenDriver::attach_devices(const std::string& name, Callback<Done> done) {
    auto guest = find("giving its adapters to", name, done);
    if (!guest) return;
    Result<void> reserved = reserve_adapters(guest);
    if (reserved) return guest->attach_adapters(std::move(done));
    asio::post(io_, [e = reserved.error(), done = std::move(done)] { done(e); });
}

void XenDriver::freeze(const std::string& name, Callback<std::int64_t> done) {
    if (auto guest = find("stopping", name, done)) guest->freeze(std::move(done));
}

void XenDriver::capture(const std::string& name, CaptureMethod, Fd stream,
                        Callback<std::int64_t> captured, Callback<Done> finished) {
    Callback<Done> told = [captured, finished](Result<Done> saved) {
        if (!saved) {
            captured(saved.error());
            return finished(saved);
        }
        captured(now_ns());
        finished(Done{});
    };
    auto guest = find("capturing", name, told);
    if (!guest) return;
    const std::string unfit = !guest->suspended()              ? "it is not stopped"
                              : guest->configuration().empty() ? "it was not prepared"
                              : !guest->devices().empty()      ? "it still has a passed-through "
                                                                 "PCI device"
                                                               : "";
    if (!unfit.empty()) {
        return asio::post(io_, [name, unfit, told] {
            told(fail("capturing guest " + name, "", unfit, ErrorKind::refused));
        });
    }
    std::make_shared<XenSave>(guest)->start("capturing", std::move(stream), kCaptureLimit, told);
}

void XenDriver::resume(const std::string& name, Callback<Done> done) {
    if (auto guest = find("resuming", name, done)) guest->resume(std::move(done));
}

void XenDriver::cancel(const std::string& name, Callback<Done> done) {
    auto guest = find("cancelling the capture of", name, done);
    if (!guest) return;
    if (auto migration = guests_[name].migration) return migration->cancel(std::move(done));
    guest->stop_act("cancelled", std::move(done));
}

// ---- restore ----

void XenDriver::restore(const GuestDefinition& definition, Fd stream, Callback<Done> done) {
    load(definition, std::move(stream), GuestState::paused, std::move(done));
}

void XenDriver::load(const GuestDefinition& definition, Fd stream, GuestState then,
                     Callback<Done> done) {
    const std::string name = definition.name;
    auto guest = make_room("restoring", definition, done);
    if (!guest) return;
    guest->load(std::move(stream), then,
                [this, guest, name, done = std::move(done)](Result<Done> loaded) {
                    if (!loaded) drop(name, guest);
                    done(std::move(loaded));
                });
}

// ---- a move ----

void XenDriver::migrate_out(const std::string& name, Fd stream, std::uint64_t, MigrateOut events) {
    auto guest = find<std::int64_t>("sending", name, events.finished);
    if (!guest) return;
    auto finished = [this, name, told = std::move(events.finished)](Result<std::int64_t> at) {
        if (auto entry = guests_.find(name); entry != guests_.end()) {
            entry->second.migration.reset();
        }
        told(std::move(at));
    };
    events.finished = std::move(finished);
    auto migration = std::make_shared<XenMigration>(guest, std::move(events));
    guests_[name].migration = migration;
    migration->start(std::move(stream));
}

void XenDriver::converge(const std::string& name, Callback<Done> done) {
    auto guest = find("stopping", name, done);
    if (!guest) return;
    if (auto migration = guests_[name].migration) migration->converge();
    asio::post(io_, [done = std::move(done)] { done(Done{}); });
}

void XenDriver::ask_migration(const std::string& name, Callback<MigrationFacts> done) {
    auto guest = find("asking for the progress of", name, done);
    if (!guest) return;
    auto migration = guests_[name].migration;
    asio::post(io_, [facts = migration ? migration->facts() : MigrationFacts{},
                     done = std::move(done)] { done(facts); });
}

void XenDriver::migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) {
    load(definition, std::move(stream), GuestState::arrived, std::move(done));
}

}  // namespace grl::bridge
