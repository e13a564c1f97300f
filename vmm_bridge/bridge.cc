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
constexpr std::chrono::seconds kRecordAgain{5};
constexpr std::chrono::seconds kMarkerEvery{5};
constexpr std::chrono::seconds kMarkerLimit{1};  // storage may hang; guests must be served

}  // namespace

Bridge::Bridge(asio::io_context& io, BridgeConfig config, std::unique_ptr<Driver> driver,
               Events events, std::function<void(int)> keep_stream)
    : io_(io),
      config_(std::move(config)),
      driver_(std::move(driver)),
      events_(std::move(events)),
      keep_stream_(std::move(keep_stream)),
      store_(config_.bridge.image_dir, config_.cluster),
      record_timer_(io),
      marker_timer_(io),
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
                  [this, done = std::move(done)](Result<Done> opened) {
                      if (!opened) return done(std::move(opened));
                      auto once = std::make_shared<Callback<Done>>(done);
                      auto go_on = [this, once] {
                          if (!*once) return;
                          marker_timer_.cancel();
                          std::exchange(*once, nullptr)(Done{});
                      };
                      marker_timer_.expires_after(kMarkerLimit);
                      marker_timer_.async_wait([go_on](boost::system::error_code ec) {
                          if (!ec) go_on();
                      });
                      read_marker(go_on);
                  });
}

// ---- the checkpoint directory ----

// On a thread: a dead file system must not hold the guests' bridge up.
void Bridge::read_marker(std::function<void()> then) {
    run_blocking<std::string>(
        io_, [store = store_] { return store.marker(); },
        [this, life = std::weak_ptr(life_), then = std::move(then)](const Result<std::string>& id) {
            if (life.expired()) return;
            const std::string seen = id ? *id : std::string();
            if (!id) log_warning(id.error().text());
            if (std::exchange(marker_, seen) != seen && linked_) send_inventory();
            then();
        });
}

void Bridge::watch_marker() {
    if (!linked_) return;
    marker_timer_.expires_after(kMarkerEvery);
    marker_timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec) read_marker([this] { watch_marker(); });
    });
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
                        static_cast<std::uint32_t>(driver_->adapters_free()),
                        marker_,
                        config_.bridge.image_dir};
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
    note_host(now);
    std::string text = json::serialize(to_json(now));
    if (text == last_inventory_ && !always) return;
    last_inventory_ = std::move(text);
    events_.inventory(now);
}

// Before a guest runs it starts, arrives or is loaded, which takes longer than this; and the
// coordinator's catalog knows of it, too. So nothing waits for the storage here.
void Bridge::note_host(const Inventory& now) {
    HostRecord record{config_.bridge.host, {}};
    for (const GuestInfo& g : now.guests) {
        if (g.state != GuestState::absent && g.state != GuestState::lost) {
            record.guests.push_back(g.name);
        }
    }
    std::sort(record.guests.begin(), record.guests.end());
    if (record.guests != record_.guests) record_due_ = true;
    record_ = std::move(record);
    write_record();
}

// One at a time: the last word is the one that stays.
void Bridge::write_record() {
    if (!record_due_ || record_busy_ || marker_.empty()) return;
    record_due_ = false;
    record_busy_ = true;
    run_blocking<Done>(
        io_,
        [store = store_, record = record_]() -> Result<Done> {
            Result<void> noted = store.note_host(record);
            if (!noted) return noted.error();
            return Done{};
        },
        [this, life = std::weak_ptr(life_)](const Result<Done>& noted) {
            if (life.expired()) return;
            record_busy_ = false;
            if (noted) return write_record();
            record_due_ = true;
            log_warning("noting which guests are here: " + noted.error().text());
            record_timer_.expires_after(kRecordAgain);
            record_timer_.async_wait([this](boost::system::error_code ec) {
                if (!ec) write_record();
            });
        });
}

// ---- the coordinator comes and goes ----

void Bridge::link_up() {
    link_timer_.cancel();
    // Whoever lost the connection has ended its side of the lines that were under way.
    abort_all("the connection to the coordinator broke", [](Result<Done>) {});
    drop_moves("the connection to the coordinator broke");
    reload_definitions();
    linked_ = true;
    send_inventory(true);
    read_marker([this] { watch_marker(); });
}

void Bridge::link_down() {
    linked_ = false;
    marker_timer_.cancel();
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
