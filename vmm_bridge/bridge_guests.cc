// The verbs about guests: start, destroy, restore, resume.
#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/guests.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/bridge.h"
#include "vmm_bridge/line/restoration.h"

namespace grl::bridge {

void Bridge::start_guest(const StartGuest& ask, Callback<Done> done) {
    Result<GuestDefinition> definition = definition_of(ask.guest);
    if (!definition) return done(definition.error());
    const auto views = driver_->list();
    const GuestView* view = view_of(views, ask.guest);
    const bool here = view && view->state != GuestState::lost;
    if (!here && definition->memory_mib > memory_free_mib()) {
        return done(fail("starting guest " + ask.guest, config_.bridge.host,
                         std::to_string(definition->memory_mib) + " MiB of memory are wanted, " +
                             std::to_string(memory_free_mib()) + " are free",
                         ErrorKind::refused));
    }
    reload_definitions();
    driver_->start(*definition, [this, guest = ask.guest, done](Result<Done> started) {
        if (started) log_info("guest " + guest + " runs");
        send_inventory();
        done(std::move(started));
    });
}

void Bridge::destroy_guests(const DestroyGuests& ask, Callback<Done> done) {
    Result<void> known = check_guests(ask.guests);
    if (!known) return done(known.error());
    // A restore under way would bring them back after this.
    const auto restores = restores_of(ask.guests);
    if (!restores.empty()) {
        for (const auto& guest : ask.guests) driver_->destroy(guest, [](Result<Done>) {});
        return gather_done(
            restores,
            [](const auto& restore, Callback<Done> one) {
                restore->join([one](const Result<RestoredGuests>&) { one(Done{}); });
            },
            [this, ask, done](Result<Done>) { destroy_guests(ask, done); });
    }
    forget_restored(ask.guests);
    for (const auto& guest : ask.guests) {
        if (auto arrival = arrival_of(guest)) arrival->drop("it is destroyed", [](Result<Done>) {});
    }
    gather_done(
        ask.guests,
        [this](const std::string& guest, Callback<Done> one) { driver_->destroy(guest, one); },
        [this, guests = ask.guests, done](Result<Done> destroyed) {
            // Only now: an abort before it would have let them run once more.
            for (const auto& guest : guests) {
                if (auto part = active_part_of(guest)) {
                    part->abort("guest " + guest + " was destroyed", [](Result<Done>) {});
                }
            }
            forget_moves(guests);
            send_inventory();
            done(std::move(destroyed));
        });
}

Result<void> Bridge::check_room(const std::vector<GuestDefinition>& guests,
                                const std::vector<std::string>& leaving) const {
    std::uint64_t free_mib = memory_free_mib();
    std::size_t free_adapters = driver_->adapters_free();
    for (const GuestView& view : driver_->list()) {
        const bool goes = std::ranges::find(leaving, view.definition.name) != leaving.end();
        if (!goes || view.state == GuestState::lost) continue;
        free_mib += view.definition.memory_mib;
        free_adapters += view.definition.adapters;
    }
    std::uint64_t wanted_mib = 0;
    std::size_t wanted_adapters = 0;
    for (const GuestDefinition& guest : guests) {
        wanted_mib += guest.memory_mib;
        wanted_adapters += guest.adapters;
    }
    std::string why;
    if (wanted_mib > free_mib) {
        why = std::to_string(wanted_mib) + " MiB of memory are wanted, " +
              std::to_string(free_mib) + " are free";
    } else if (wanted_adapters > free_adapters) {
        why = std::to_string(wanted_adapters) + " adapter(s) are wanted, " +
              std::to_string(free_adapters) + " are free";
    } else {
        return {};
    }
    return fail("restoring guests", config_.bridge.host, "no room: " + why, ErrorKind::refused);
}

void Bridge::check_restore(const CheckRestore& ask, Callback<VerifiedLine> done) {
    Result<void> known = check_guests(ask.guests);
    if (!known) return done(known.error());
    std::vector<GuestDefinition> definitions;
    for (const auto& guest : ask.guests) {
        Result<GuestDefinition> definition = definition_of(guest);
        if (!definition) return done(definition.error());
        definitions.push_back(std::move(*definition));
    }
    if (Result<void> room = check_room(definitions, ask.leaving); !room) return done(room.error());
    // A VMM that counts by itself can say so of what is free now, and not of what will be.
    const auto views = driver_->list();
    const bool room_grows = std::ranges::any_of(
        ask.leaving, [&](const std::string& guest) { return view_of(views, guest) != nullptr; });
    for (const auto& definition : definitions) {
        if (room_grows) break;
        if (Result<void> room = driver_->check_room(definition); !room) return done(room.error());
    }
    std::map<std::string, std::vector<GuestPart>> parts;
    for (const auto& d : definitions) parts[d.name] = driver_->parts_of(d);
    auto contents = [parts = std::move(parts),
                     files = contents_](const GuestDefinition& guest) -> Contents {
        std::vector<ContentId> ids;
        for (const GuestPart& part : parts.at(guest.name)) {
            if (part.path.empty()) {
                ids.push_back({part.part, part.id});
                continue;
            }
            const Result<std::string> id = files->identify(part.path);
            // It cannot be read at all: that is no disk to go on with.
            ids.push_back({part.part, id ? *id : "unreadable"});
        }
        return ids;
    };
    check_images(io_, store_, ask.id, std::move(definitions), std::move(contents),
                 std::move(done));
}

void Bridge::restore_guests(const RestoreGuests& ask, Callback<RestoredGuests> done) {
    const Error refusal = fail("restoring guests", config_.bridge.host, "", ErrorKind::refused);
    auto refuse = [&refusal](const std::string& why) {
        Error e = refusal;
        e.why = why;
        return e;
    };
    if (ask.guests.empty()) return done(refuse("none is named"));
    // The same request again: the same outcome.
    for (const auto& restored : restored_) {
        if (restored.id.job == ask.id.job && restored.id.line == ask.id.line &&
            restored.guests == ask.guests) {
            restored.act->join(std::move(done));
            return;
        }
    }
    Result<void> known = check_guests(ask.guests);
    if (!known) return done(known.error());
    const auto views = driver_->list();
    std::vector<GuestDefinition> definitions;
    for (const auto& guest : ask.guests) {
        Result<GuestDefinition> definition = definition_of(guest);
        if (!definition) return done(definition.error());
        if (const GuestView* view = view_of(views, guest);
            view && view->state != GuestState::lost) {
            return done(refuse("guest " + guest + " is here, " + name_of(view->state)));
        }
        definitions.push_back(std::move(*definition));
    }
    if (Result<void> room = check_room(definitions, {}); !room) return done(room.error());

    auto act = std::make_shared<Act<RestoredGuests>>();
    restored_.push_back({ask.id, ask.guests, act});
    act->join(std::move(done));
    grl::bridge::restore_guests(
        io_, *driver_, store_, ask.id, std::move(definitions),
        [this, act, guests = ask.guests](Result<RestoredGuests> restored) {
            if (!restored) {
                std::erase_if(restored_, [&](const Restored& r) { return r.act == act; });
                log_error(restored.error().text());
            }
            send_inventory();
            act->finish(std::move(restored));
        });
}

void Bridge::forget_restored(const std::vector<std::string>& guests) {
    std::erase_if(restored_, [&](const Restored& r) { return r.act->done() && r.any_of(guests); });
}

bool Bridge::Restored::any_of(const std::vector<std::string>& others) const {
    return std::find_first_of(guests.begin(), guests.end(), others.begin(), others.end()) !=
           guests.end();
}

std::vector<std::shared_ptr<Act<RestoredGuests>>> Bridge::restores_of(
    const std::vector<std::string>& guests) const {
    std::vector<std::shared_ptr<Act<RestoredGuests>>> under_way;
    for (const auto& restored : restored_) {
        if (!restored.act->done() && restored.any_of(guests)) under_way.push_back(restored.act);
    }
    return under_way;
}

void Bridge::resume_guests(const ResumeGuests& ask, Callback<Done> done) {
    Result<void> known = check_guests(ask.guests);
    if (!known) return done(known.error());
    for (const auto& guest : ask.guests) {
        // A line's cut must not be broken by this door.
        if (auto part = active_part_of(guest); part && part->holding_still()) {
            return done(
                fail("resuming guest " + guest, "", "a line holds it still", ErrorKind::refused));
        }
        auto departure = departure_of(guest);
        if (departure && departure->active()) {
            return done(fail("resuming guest " + guest, "", "it is on its way to another host",
                             ErrorKind::refused));
        }
    }
    gather_done(
        ask.guests,
        [this](const std::string& guest, Callback<Done> one) { let_run(*driver_, guest, one); },
        [this, guests = ask.guests, done](Result<Done> resumed) {
            if (resumed) forget_restored(guests);
            if (resumed) forget_moves(guests);
            send_inventory();
            done(std::move(resumed));
        });
}

}  // namespace grl::bridge
