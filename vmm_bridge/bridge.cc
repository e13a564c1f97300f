#include "vmm_bridge/bridge.h"

#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/worker.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/host/definitions.h"

namespace grl::bridge {

namespace {

// A line stops its guests for less than this, so that its hot path carries no inventories.
constexpr std::chrono::milliseconds kInventoryDelay{100};
constexpr std::chrono::milliseconds kLinkLimit{2'000};

}  // namespace

Bridge::Bridge(asio::io_context& io, BridgeConfig config, std::unique_ptr<Driver> driver,
               Events events, std::function<void(int)> keep_stream)
    : io_(io),
      config_(std::move(config)),
      driver_(std::move(driver)),
      events_(std::move(events)),
      keep_stream_(std::move(keep_stream)),
      store_(config_.bridge.image_dir, config_.cluster),
      inventory_timer_(io),
      link_timer_(io) {}

void Bridge::open(Callback<Done> done) {
    reload_definitions();
    driver_->open({[this] { inventory_changed(); },
                   [this](const std::string& guest, const std::string& reason) {
                       log_error("guest " + guest + " has died: " + reason);
                       events_.died({guest, reason});
                       send_inventory();
                   }},
                  std::move(done));
}

// ---- the inventory ----

void Bridge::reload_definitions() {
    definitions_ = load_definitions(config_.bridge.guest_dir, driver_->name(), complete_sections);
    read_contents();
}

void Bridge::read_contents() {
    std::vector<std::string> paths;
    for (const GuestDefinition& d : definitions_) {
        for (GuestPart& part : driver_->parts_of(d)) {
            if (!part.path.empty()) paths.push_back(std::move(part.path));
        }
    }
    if (paths.empty() || std::exchange(reading_contents_, true)) return;
    run_blocking<Done>(
        io_,
        [contents = contents_, paths = std::move(paths)]() -> Result<Done> {
            for (const std::string& path : paths) {
                if (auto id = contents->identify(path); !id) log_warning(id.error().text());
            }
            return Done{};
        },
        [this, life = std::weak_ptr(contents_)](Result<Done>) {
            if (life.expired()) return;
            reading_contents_ = false;
            send_inventory();
        });
}

Contents Bridge::contents_of(const GuestDefinition& definition) const {
    std::vector<ContentId> ids;
    for (const GuestPart& part : driver_->parts_of(definition)) {
        ids.push_back({part.part, part.path.empty() ? part.id : contents_->known(part.path)});
    }
    if (ids.empty()) return std::nullopt;
    return ids;
}

Inventory Bridge::inventory() const {
    Inventory inventory{config_.bridge.host,
                        driver_->name(),
                        driver_->version(),
                        config_.bridge.memory_mib,
                        memory_free_mib(),
                        {},
                        static_cast<std::uint32_t>(driver_->adapters_free())};
    const std::vector<GuestView> views = driver_->list();
    for (const auto& d : definitions_) {
        if (view_of(views, d.name)) continue;
        inventory.guests.push_back({d.name, GuestState::absent, d.address, d.memory_mib,
                                    definition_digest(d), d.adapters, contents_of(d)});
    }
    for (const auto& view : views) {
        // One that is being let run again runs, for whoever decides about it.
        const auto departure = departure_of(view.definition.name);
        const bool returns = departure && departure->state() == GuestDeparture::State::dropping &&
                             view.state != GuestState::lost;
        const GuestState state = returns ? GuestState::running : view.state;
        inventory.guests.push_back({view.definition.name, state, view.definition.address,
                                    view.definition.memory_mib, view.digest,
                                    view.definition.adapters, contents_of(view.definition)});
    }
    return inventory;
}

std::uint64_t Bridge::memory_free_mib() const {
    std::uint64_t taken = 0;
    for (const auto& view : driver_->list()) {
        if (view.state != GuestState::lost) taken += view.definition.memory_mib;
    }
    return config_.bridge.memory_mib - std::min(taken, config_.bridge.memory_mib);
}

void Bridge::inventory_changed() {
    if (std::exchange(inventory_pending_, true)) return;
    inventory_timer_.expires_after(kInventoryDelay);
    inventory_timer_.async_wait([this](boost::system::error_code ec) {
        inventory_pending_ = false;
        if (!ec) send_inventory();
    });
}

void Bridge::send_inventory(bool always) {
    const Inventory now = inventory();
    std::string text = json::serialize(to_json(now));
    if (text == last_inventory_ && !always) return;
    last_inventory_ = std::move(text);
    events_.inventory(now);
}

// ---- the coordinator comes and goes ----

void Bridge::link_up() {
    link_timer_.cancel();
    // Whoever lost the connection has ended its side of the lines that were under way.
    abort_all("the connection to the coordinator broke", [](Result<Done>) {});
    drop_moves("the connection to the coordinator broke");
    reload_definitions();
    send_inventory(true);
}

void Bridge::link_down() {
    link_timer_.expires_after(kLinkLimit);
    link_timer_.async_wait([this](boost::system::error_code ec) {
        if (ec) return;
        const auto parts = parts_;
        for (const auto& [key, part] : parts) {
            if (part->acts_on_guests()) part->abort("the coordinator is gone", [](Result<Done>) {});
        }
        drop_moves("the coordinator is gone");
    });
}

void Bridge::abort_all(const std::string& reason, Callback<Done> done) {
    std::vector<std::shared_ptr<LinePart>> active;
    for (const auto& [key, part] : parts_) {
        if (part->active()) active.push_back(part);
    }
    gather_done(
        active,
        [&reason](const std::shared_ptr<LinePart>& part, Callback<Done> one) {
            part->abort(reason, one);
        },
        std::move(done));
}

// ---- what the verbs ask of all of this ----

const GuestView* Bridge::view_of(const std::vector<GuestView>& views,
                                 const std::string& guest) const {
    auto at = std::find_if(views.begin(), views.end(),
                           [&](const GuestView& v) { return v.definition.name == guest; });
    return at == views.end() ? nullptr : &*at;
}

Result<GuestDefinition> Bridge::definition_of(const std::string& guest) const {
    return load_definition(config_.bridge.guest_dir, driver_->name(), guest, complete_sections);
}

// Each must be defined here or be here; none may stand twice.
Result<void> Bridge::check_guests(const std::vector<std::string>& guests) const {
    const std::vector<GuestView> views = driver_->list();
    std::vector<std::string> seen;
    for (const auto& guest : guests) {
        if (!valid_name(guest)) {
            return fail("reading a request", "", "a guest's name is not valid", ErrorKind::usage);
        }
        if (std::find(seen.begin(), seen.end(), guest) != seen.end()) {
            return fail("reading a request", "", "guest " + guest + " stands twice",
                        ErrorKind::usage);
        }
        seen.push_back(guest);
        if (view_of(views, guest)) continue;
        Result<GuestDefinition> definition = definition_of(guest);
        if (!definition) return definition.error();
    }
    return {};
}

std::shared_ptr<LinePart> Bridge::part_of(LineId id) const {
    auto at = parts_.find({id.job, id.line});
    return at == parts_.end() ? nullptr : at->second;
}

std::shared_ptr<LinePart> Bridge::active_part_of(const std::string& guest) const {
    for (const auto& [key, part] : parts_) {
        if (part->active() && part->holds(guest)) return part;
    }
    return nullptr;
}

}  // namespace grl::bridge
