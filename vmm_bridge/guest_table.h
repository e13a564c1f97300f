// What the drivers of all VMMs do alike: the guests by name, those that an earlier bridge left, and
// whose each passthrough device is. A driver derives from it and adds what its VMM does its own
// way.
//
// `Guest` derives from HostedGuest and has, besides what is called below,
//
//     start(done), load(stream, then, done)     on failure nothing of it is left
//     exists()                                  something of it is in its VMM's hands
//     find_devices(all, found)                  those of the host's that it has now
//     detach_devices(done), attach_devices(done)
//     destroy, freeze, resume                   as Driver has them
//
// `Work` is what may be under way with a guest besides; at least its `migration`.
//
// Threads and errors: as Driver has them.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "grl/base/log.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/host/hosted_guest.h"
#include "vmm_bridge/host/passthrough.h"

namespace grl::bridge {

// The guests of which there are files NAME + suffix.
std::vector<std::string> names_left(const std::string& run_dir, const std::string& suffix);

template <class Guest, class Work>
class GuestTable : public Driver {
  public:
    GuestTable(boost::asio::io_context& io, std::string run_dir,
               const std::vector<std::string>& devices)
        : io_(io), run_dir_(std::move(run_dir)), devices_(devices) {}

    std::vector<GuestView> list() const override;
    Result<void> check_room(const GuestDefinition& definition) const override {
        return devices_.check(definition.name, definition.adapters);
    }
    std::size_t adapters_free() const override { return devices_.free(); }
    void start(const GuestDefinition& definition, Callback<Done> done) override;
    void destroy(const std::string& name, Callback<Done> done) override;
    void detach_devices(const std::string& name, Callback<Done> done) override {
        change_devices(name, &Guest::detach_devices, std::move(done));
    }
    void attach_devices(const std::string& name, Callback<Done> done) override {
        change_devices(name, &Guest::attach_devices, std::move(done));
    }
    void freeze(const std::string& name, Callback<std::int64_t> done) override {
        if (auto guest = find("stopping", name, done)) guest->freeze(std::move(done));
    }
    void resume(const std::string& name, Callback<Done> done) override {
        if (auto guest = find("resuming", name, done)) guest->resume(std::move(done));
    }
    void restore(const GuestDefinition& definition, Fd stream, Callback<Done> done) override {
        load(definition, std::move(stream), GuestState::paused, std::move(done));
    }
    void migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) override {
        load(definition, std::move(stream), GuestState::arrived, std::move(done));
    }

  protected:
    struct Entry {
        std::shared_ptr<Guest> guest;
        Work work;
    };
    // One that was left, and how to take it over.
    struct Found {
        std::shared_ptr<Guest> guest;
        std::function<void(Callback<Done>)> adopt;
    };

    // ---- a VMM's own way ----

    virtual Result<std::shared_ptr<Guest>> make(const GuestDefinition& definition,
                                                HostedGuest::Handlers handlers) = 0;
    // Refused if there is something of this name that is not the table's.
    virtual Result<void> check_name(const std::string&, const std::string&) const { return {}; }
    // What is said, before its state, to whoever starts a guest that is here.
    virtual std::string here_words() const { return "it is here, "; }

    // ---- what it is given for that ----

    void listen(Events events) { events_ = std::move(events); }
    // Takes over those of whose files NAME + suffix `left` makes something. One that cannot be
    // taken over stands in the list as lost, or is gone; the rest goes on.
    void adopt_all(const std::string& suffix,
                   const std::function<std::optional<Found>(const std::string& name)>& left,
                   Callback<Done> done);
    Result<std::shared_ptr<Guest>> add(const GuestDefinition& definition);
    // Null, and the callback gets the error, if it is not here.
    template <class T>
    std::shared_ptr<Guest> find(const std::string& act, const std::string& name,
                                const Callback<T>& done) const;
    // Null if it is not here.
    Work* work_of(const std::string& name);
    // A migration that is forgotten when it has finished.
    auto add_migration(const std::shared_ptr<Guest>& guest, MigrateOut events);
    const std::map<std::string, Entry>& guests() const { return guests_; }
    const PassthroughDevices& devices() const { return devices_; }
    template <class T>
    void later(Callback<T> done, std::type_identity_t<Result<T>> result) const {
        boost::asio::post(io_, [done = std::move(done), result = std::move(result)]() mutable {
            done(std::move(result));
        });
    }

    boost::asio::io_context& io_;
    const std::string run_dir_;

  private:
    bool is_here(const std::shared_ptr<Guest>& guest) const;
    // A new one; null, and the callback gets the error, if it is here already.
    std::shared_ptr<Guest> make_room(const std::string& act, const std::string& here_words,
                                     const GuestDefinition& definition, const Callback<Done>& done);
    void load(const GuestDefinition& definition, Fd stream, GuestState then, Callback<Done> done);
    void drop(const std::shared_ptr<Guest>& guest);
    void forget(const std::string& name);
    void changed(const std::string& name);
    Result<void> reserve_devices(Guest& guest);
    void find_devices(const std::shared_ptr<Guest>& guest, Callback<Done> done);
    void give_devices_back(const std::vector<Found>& found, Callback<Done> done);
    void change_devices(const std::string& name, void (Guest::*change)(Callback<Done>),
                        Callback<Done> done);

    Events events_;
    std::map<std::string, Entry> guests_;
    PassthroughDevices devices_;
};

// ---- those that are left ----

template <class Guest, class Work>
void GuestTable<Guest, Work>::adopt_all(
    const std::string& suffix,
    const std::function<std::optional<Found>(const std::string& name)>& left, Callback<Done> done) {
    std::vector<Found> found;
    for (const std::string& name : names_left(run_dir_, suffix)) {
        if (auto one = left(name)) found.push_back(std::move(*one));
    }
    auto adopt = [this](const Found& one, Callback<Done> adopted) {
        one.adopt([this, guest = one.guest, adopted](const Result<Done>& result) {
            const bool gone = guest->state() == GuestState::absent;
            if (gone) drop(guest);
            if (!result) log_warning("taking over a guest: " + result.error().text());
            if (gone || !result) return adopted(Done{});
            log_info("took over guest " + guest->definition().name);
            find_devices(guest, adopted);
        });
    };
    gather_done(found, adopt, [this, found, done = std::move(done)](const Result<Done>&) {
        give_devices_back(found, done);
    });
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::find_devices(const std::shared_ptr<Guest>& guest,
                                           Callback<Done> done) {
    if (guest->definition().adapters == 0) return done(Done{});
    guest->find_devices(devices_.all(), [this, guest,
                                         done](const Result<std::vector<std::string>>& its) {
        if (!its) log_warning(its.error().text());
        for (const auto& device : its ? *its : std::vector<std::string>()) {
            devices_.found(guest->definition().name, device);
        }
        done(Done{});
    });
}

// When it is known whose each is: some may be out for a line that the bridge before us was at. One
// that does not run gets them when it does.
template <class Guest, class Work>
void GuestTable<Guest, Work>::give_devices_back(const std::vector<Found>& found,
                                                Callback<Done> done) {
    std::vector<std::string> running;
    for (const auto& [guest, adopt] : found) {
        if (!is_here(guest) || !guest->exists()) continue;
        // First all of theirs, so that none is given away.
        Result<void> reserved = reserve_devices(*guest);
        if (!reserved) log_error(reserved.error().text());
        if (guest->state() == GuestState::running) running.push_back(guest->definition().name);
    }
    gather_done(
        running,
        [this](const std::string& name, Callback<Done> one) {
            attach_devices(name, [one](const Result<Done>& attached) {
                if (!attached) log_error(attached.error().text());
                one(Done{});
            });
        },
        std::move(done));
}

// ---- the table ----

template <class Guest, class Work>
Result<std::shared_ptr<Guest>> GuestTable<Guest, Work>::add(const GuestDefinition& definition) {
    const std::string name = definition.name;
    auto died = [this, name](const std::string& reason) {
        if (events_.died) events_.died(name, reason);
    };
    auto guest = make(definition, {[this, name] { changed(name); }, died});
    if (guest) guests_[name] = Entry{*guest, {}};
    return guest;
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::changed(const std::string& name) {
    auto at = guests_.find(name);
    if (at != guests_.end() && at->second.guest->state() == GuestState::lost &&
        !at->second.guest->exists()) {
        devices_.release(name);
    }
    if (events_.changed) events_.changed();
}

template <class Guest, class Work>
bool GuestTable<Guest, Work>::is_here(const std::shared_ptr<Guest>& guest) const {
    auto at = guests_.find(guest->definition().name);
    return at != guests_.end() && at->second.guest == guest;
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::forget(const std::string& name) {
    guests_.erase(name);
    devices_.release(name);
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::drop(const std::shared_ptr<Guest>& guest) {
    if (is_here(guest)) forget(guest->definition().name);
    if (events_.changed) events_.changed();
}

template <class Guest, class Work>
template <class T>
std::shared_ptr<Guest> GuestTable<Guest, Work>::find(const std::string& act,
                                                     const std::string& name,
                                                     const Callback<T>& done) const {
    auto at = guests_.find(name);
    if (at != guests_.end()) return at->second.guest;
    later(done,
          fail(act + " guest " + name, "", "it is not on this host", ErrorKind::not_found));
    return nullptr;
}

template <class Guest, class Work>
Work* GuestTable<Guest, Work>::work_of(const std::string& name) {
    auto at = guests_.find(name);
    return at == guests_.end() ? nullptr : &at->second.work;
}

template <class Guest, class Work>
auto GuestTable<Guest, Work>::add_migration(const std::shared_ptr<Guest>& guest,
                                            MigrateOut events) {
    const std::string name = guest->definition().name;
    events.finished = [this, name, told = std::move(events.finished)](Result<std::int64_t> at) {
        if (Work* work = work_of(name)) work->migration.reset();
        told(std::move(at));
    };
    using Migration = typename decltype(Work::migration)::element_type;
    return work_of(name)->migration = std::make_shared<Migration>(guest, std::move(events));
}

template <class Guest, class Work>
std::vector<GuestView> GuestTable<Guest, Work>::list() const {
    std::vector<GuestView> views;
    for (const auto& [name, entry] : guests_) {
        const Guest& guest = *entry.guest;
        views.push_back(
            {guest.definition(), guest.digest(), guest.state(), guest.resident_bytes()});
    }
    return views;
}

// ---- start, load, destroy ----

template <class Guest, class Work>
std::shared_ptr<Guest> GuestTable<Guest, Work>::make_room(const std::string& act,
                                                          const std::string& here_words,
                                                          const GuestDefinition& definition,
                                                          const Callback<Done>& done) {
    const std::string& name = definition.name;
    const std::string what = act + " guest " + name;
    auto refuse = [&](const Error& e) {
        later(done, e);
        return nullptr;
    };
    if (auto at = guests_.find(name); at != guests_.end()) {
        const GuestState state = at->second.guest->state();
        if (state != GuestState::lost) {
            return refuse(fail(what, "", here_words + name_of(state), ErrorKind::refused));
        }
        forget(name);
    }
    if (Result<void> unused = check_name(what, name); !unused) return refuse(unused.error());
    Result<std::shared_ptr<Guest>> guest = add(definition);
    if (!guest) return refuse(guest.error());
    if (Result<void> reserved = reserve_devices(**guest); !reserved) {
        forget(name);
        return refuse(reserved.error());
    }
    return *guest;
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::start(const GuestDefinition& definition, Callback<Done> done) {
    auto at = guests_.find(definition.name);
    if (at != guests_.end() && at->second.guest->state() == GuestState::running) {
        return later(std::move(done), Done{});
    }
    auto guest = make_room("starting", here_words(), definition, done);
    if (!guest) return;
    guest->start([this, guest, done = std::move(done)](Result<Done> started) {
        if (!started) drop(guest);
        done(std::move(started));
    });
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::load(const GuestDefinition& definition, Fd stream, GuestState then,
                                   Callback<Done> done) {
    auto guest = make_room("restoring", "it is here, ", definition, done);
    if (!guest) return;
    guest->load(std::move(stream), then,
                [this, guest, done = std::move(done)](Result<Done> loaded) {
                    if (!loaded) drop(guest);
                    done(std::move(loaded));
                });
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::destroy(const std::string& name, Callback<Done> done) {
    auto at = guests_.find(name);
    if (at == guests_.end()) return later(std::move(done), Done{});
    auto guest = at->second.guest;
    guest->destroy([this, guest, done = std::move(done)](Result<Done> destroyed) {
        if (destroyed) drop(guest);
        done(std::move(destroyed));
    });
}

// ---- passthrough devices ----

// Its own from now on, wherever they are; nothing if it wants none.
template <class Guest, class Work>
Result<void> GuestTable<Guest, Work>::reserve_devices(Guest& guest) {
    const GuestDefinition& definition = guest.definition();
    if (definition.adapters == 0 || !guest.own_devices().empty()) return {};
    auto its = devices_.take(definition.name, definition.adapters);
    if (!its) return its.error();
    guest.set_devices(std::move(*its));
    return {};
}

template <class Guest, class Work>
void GuestTable<Guest, Work>::change_devices(const std::string& name,
                                             void (Guest::*change)(Callback<Done>),
                                             Callback<Done> done) {
    auto at = guests_.find(name);
    if (at == guests_.end() || at->second.guest->definition().adapters == 0) {
        return later(std::move(done), Done{});
    }
    const std::shared_ptr<Guest> guest = at->second.guest;
    if (Result<void> reserved = reserve_devices(*guest); !reserved) {
        return later(std::move(done), reserved.error());
    }
    ((*guest).*change)(std::move(done));
}

}  // namespace grl::bridge
