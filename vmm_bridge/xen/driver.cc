#include "vmm_bridge/xen/driver.h"

#include <algorithm>

#include "grl/base/log.h"
#include "vmm_bridge/host/contents.h"
#include "vmm_bridge/xen/section.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/xen/orphans.h"
#include "vmm_bridge/xen/save.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kCaptureLimit{25 * 3'600'000};  // above any deadline of the coordinator's

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
    listen(std::move(events));
    Result<std::shared_ptr<XenContext>> host = XenContext::open(io_);
    if (!host) return later(std::move(done), host.error());
    host_ = std::move(*host);
    version_ = version_of(*host_);
    end_orphaned_helpers();
    adopt_all(
        ".xen",
        [this, domains = list_domains(*host_)](const std::string& name) {
            return left(name, domains);
        },
        std::move(done));
}

std::optional<XenDriver::Found> XenDriver::left(const std::string& name,
                                                const std::vector<XenDomain>& domains) {
    Result<XenRecord> record = XenGuest::left_behind(run_dir_, name);
    if (!record) {
        log_warning(record.error().text());
        return std::nullopt;
    }
    auto domain = std::ranges::find_if(domains, [&](const XenDomain& d) {
        return d.uuid == record->uuid && d.name.starts_with(name);
    });
    if (domain == domains.end()) return std::nullopt;
    auto guest = add(record->definition);
    if (!guest) return std::nullopt;
    return Found{*guest, [guest = *guest, domain = *domain](Callback<Done> done) {
                     guest->adopt(domain, std::move(done));
                 }};
}

// ---- the table of guests ----

Result<std::shared_ptr<XenGuest>> XenDriver::make(const GuestDefinition& definition,
                                                  HostedGuest::Handlers handlers) {
    Result<XenSection> section = xen_section(definition);
    if (!section) return section.error();
    Result<std::shared_ptr<XenContext>> context = XenContext::open(io_);
    if (!context) return context.error();
    return std::make_shared<XenGuest>(std::move(*context), definition, std::move(*section),
                                      run_dir_, std::move(handlers));
}

Result<void> XenDriver::check_name(const std::string& what, const std::string& name) const {
    for (const XenDomain& domain : list_domains(*host_)) {
        if (domain.name != name && !domain.name.starts_with(name + "--")) continue;
        return fail(what, "",
                    "domain " + domain.name + " (" + std::to_string(domain.id) +
                        ") is here and not the bridge's: destroy or rename it (xl)",
                    ErrorKind::refused);
    }
    return {};
}

// Those of a lost guest are about to be: its domain goes.
std::size_t XenDriver::adapters_free() const {
    std::size_t free = devices().free();
    for (const auto& [name, entry] : guests()) {
        if (entry.guest->state() == GuestState::lost) free += devices().count_of(name);
    }
    return free;
}

std::vector<GuestPart> XenDriver::parts_of(const GuestDefinition& definition) const {
    std::vector<GuestPart> parts;
    const Result<XenSection> section = xen_section(definition);
    if (section) add_file_parts(*section, parts);
    return parts;
}

Result<void> XenDriver::check_room(const GuestDefinition& definition) const {
    Result<void> enough = GuestTable::check_room(definition);
    if (!enough) return enough;
    const std::string fault = host_->room_fault(definition.memory_mib << 10);
    if (fault.empty()) return {};
    return fail("placing guest " + definition.name, "", fault, ErrorKind::refused);
}

// ---- a capture ----

void XenDriver::prepare(const std::string& name, CaptureMethod method, Callback<Done> done) {
    auto guest = find("preparing", name, done);
    if (!guest) return;
    if (method == CaptureMethod::background) {
        return later(std::move(done), fail("preparing guest " + name, "",
                                           "Xen cannot save a guest as it was while that runs on",
                                           ErrorKind::refused));
    }
    // Anew, as its devices may be others than at the last capture.
    const bool live = method == CaptureMethod::live;
    guest->examine("preparing", [guest, live, done = std::move(done)](Result<Done> ready) {
        if (!ready || !live || guest->can_go_live()) return done(std::move(ready));
        done(fail("preparing guest " + guest->definition().name, "", guest->why_not_live(),
                  ErrorKind::refused));
    });
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
        return later(told, fail("capturing guest " + name, "", unfit, ErrorKind::refused));
    }
    std::make_shared<XenSave>(guest)->start("capturing", std::move(stream), kCaptureLimit, told);
}

void XenDriver::cancel(const std::string& name, Callback<Done> done) {
    auto guest = find("cancelling the capture of", name, done);
    if (!guest) return;
    if (auto migration = work_of(name)->migration) return migration->cancel(std::move(done));
    guest->stop_act("cancelled", std::move(done));
}

// ---- a move ----

void XenDriver::migrate_out(const std::string& name, Fd stream, std::uint64_t, MigrateOut events) {
    auto guest = find<std::int64_t>("sending", name, events.finished);
    if (!guest) return;
    add_migration(guest, std::move(events))->start(std::move(stream));
}

void XenDriver::converge(const std::string& name, Callback<Done> done) {
    auto guest = find("stopping", name, done);
    if (!guest) return;
    if (auto migration = work_of(name)->migration) migration->converge();
    later(std::move(done), Done{});
}

void XenDriver::ask_migration(const std::string& name, Callback<MigrationFacts> done) {
    auto guest = find("asking for the progress of", name, done);
    if (!guest) return;
    auto migration = work_of(name)->migration;
    later(std::move(done), migration ? migration->facts() : MigrationFacts{});
}

}  // namespace grl::bridge
