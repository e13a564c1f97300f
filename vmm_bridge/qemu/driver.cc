#include "vmm_bridge/qemu/driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <filesystem>

#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/qemu/command.h"
#include "vmm_bridge/qemu/restore.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kVersionLimit{10'000};
constexpr Milliseconds kLogStep{2'000};
constexpr blkcnt_t kLogBlocks = (4 << 20) / 512;
constexpr Milliseconds kMigrationStep{200};
constexpr std::int64_t kMigrationLimit = 8'000;  // ms

// "QEMU emulator version 7.2.22 (Debian …" → "QEMU 7.2.22"
std::string version_in(const std::string& text) {
    const std::string before = "version ";
    const std::size_t at = text.find(before);
    if (at == std::string::npos) return "QEMU";
    const std::size_t from = at + before.size();
    return "QEMU " + text.substr(from, text.find_first_of(" \n", from) - from);
}

}  // namespace

// ---- open ----

void QemuDriver::open(Events events, Callback<Done> done) {
    events_ = std::move(events);
    run_program(io_, {kQemuProgram, "-sandbox", kQemuSandbox, "-version"}, kVersionLimit,
                [this, done = std::move(done)](Result<Output> output) {
                    if (!output) return done(output.error());
                    if (output->status != 0) {
                        return done(fail("asking QEMU for its version", kQemuProgram,
                                         output->text.substr(0, output->text.find('\n'))));
                    }
                    version_ = version_in(output->text);
                    bound_logs();
                    adopt_all(done);
                });
}

void QemuDriver::adopt_all(Callback<Done> done) {
    std::vector<std::shared_ptr<QemuGuest>> found;
    std::error_code ec;
    for (std::filesystem::directory_iterator at(run_dir_, ec), end; !ec && at != end;
         at.increment(ec)) {
        if (at->path().extension() != ".definition") continue;
        const std::string name = at->path().stem();
        if (!valid_name(name)) continue;
        if (auto definition = QemuGuest::left_behind(run_dir_, name)) {
            if (auto guest = add(*definition)) found.push_back(*guest);
        }
    }
    gather_done(
        found,
        [this](const std::shared_ptr<QemuGuest>& guest, Callback<Done> adopted) {
            guest->adopt([this, guest, adopted](Result<Done> result) {
                // One that cannot be taken over stands in the list as lost; the rest goes on.
                const bool gone = guest->state() == GuestState::absent;
                if (gone) drop(guest->definition().name, guest);
                if (!result) log_warning("taking over a guest: " + result.error().text());
                if (result && !gone) log_info("took over guest " + guest->definition().name);
                if (gone || !result || guest->definition().adapters == 0) return adopted(Done{});
                find_adapters(guest, adopted);
            });
        },
        [this, found, done = std::move(done)](const Result<Done>&) {
            give_adapters_back(found, done);
        });
}

void QemuDriver::find_adapters(const std::shared_ptr<QemuGuest>& guest, Callback<Done> done) {
    find_qemu_adapters(guest, adapters_.all(),
                       [this, guest, done](const Result<std::vector<std::string>>& its) {
                           if (!its) log_warning(its.error().text());
                           for (const auto& adapter : its ? *its : std::vector<std::string>()) {
                               adapters_.found(guest->definition().name, adapter);
                           }
                           done(Done{});
                       });
}

// When it is known whose each is: some may be out for a line that the bridge before us was at. One
// that does not run gets them when it does.
void QemuDriver::give_adapters_back(const std::vector<std::shared_ptr<QemuGuest>>& guests,
                                    Callback<Done> done) {
    std::vector<std::string> running;
    for (const auto& guest : guests) {
        const std::string& name = guest->definition().name;
        if (auto at = guests_.find(name); at == guests_.end() || at->second.guest != guest)
            continue;
        Result<void> reserved = reserve_adapters(guest);
        if (!reserved) log_error(reserved.error().text());
        if (guest->state() == GuestState::running) running.push_back(name);
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

Result<void> QemuDriver::reserve_adapters(const std::shared_ptr<QemuGuest>& guest) {
    const GuestDefinition& d = guest->definition();
    if (d.adapters == 0 || guests_[d.name].adapters) return {};
    auto its = adapters_.take(d.name, d.adapters);
    if (!its) return its.error();
    guests_[d.name].adapters = QemuAdapters::make(guest, std::move(*its));
    return {};
}

// A guest's root writes its console as fast as it likes, and run_dir is memory. Blocks count, not
// the size: after a truncation the file of a QEMU that does not append has a hole.
void QemuDriver::bound_logs() {
    for (const auto& [name, entry] : guests_) {
        const std::string path = QemuPaths(run_dir_, name).console_log();
        struct stat info {};
        if (stat(path.c_str(), &info) != 0 || info.st_blocks <= kLogBlocks) continue;
        if (truncate(path.c_str(), 0) != 0) {
            log_warning("the console log " + path + " is too large: " + errno_text(errno));
        }
    }
    log_timer_.expires_after(kLogStep);
    log_timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec) bound_logs();
    });
}

// ---- the table of guests ----

Result<std::shared_ptr<QemuGuest>> QemuDriver::add(const GuestDefinition& definition) {
    Result<QemuSection> section = qemu_section(definition);
    if (!section) return section.error();
    const std::string name = definition.name;
    auto guest =
        std::make_shared<QemuGuest>(io_, definition, *section, run_dir_,
                                    QemuGuest::Handlers{[this, name] { changed(name); },
                                                        [this, name](const std::string& reason) {
                                                            if (events_.died)
                                                                events_.died(name, reason);
                                                        }});
    guests_[name] = {guest, nullptr, nullptr, nullptr};
    return guest;
}

void QemuDriver::changed(const std::string& name) {
    auto at = guests_.find(name);
    if (at != guests_.end() && at->second.guest->state() == GuestState::lost) {
        adapters_.release(name);
    }
    if (events_.changed) events_.changed();
}

void QemuDriver::drop(const std::string& guest, const std::shared_ptr<QemuGuest>& which) {
    auto at = guests_.find(guest);
    if (at != guests_.end() && at->second.guest == which) {
        guests_.erase(at);
        adapters_.release(guest);
    }
    if (events_.changed) events_.changed();
}

template <class T>
std::shared_ptr<QemuGuest> QemuDriver::find(const std::string& act, const std::string& guest,
                                            const Callback<T>& done) {
    auto at = guests_.find(guest);
    if (at != guests_.end()) return at->second.guest;
    asio::post(io_, [act, guest, done] {
        done(fail(act + " guest " + guest, "", "it is not on this host", ErrorKind::not_found));
    });
    return nullptr;
}

std::vector<GuestView> QemuDriver::list() const {
    std::vector<GuestView> views;
    for (const auto& [name, entry] : guests_) {
        views.push_back({entry.guest->definition(), entry.guest->digest(), entry.guest->state(),
                         entry.guest->resident_bytes()});
    }
    return views;
}

Result<void> QemuDriver::check_room(const GuestDefinition& definition) const {
    return adapters_.check(definition.name, definition.adapters);
}

// ---- start, destroy ----

void QemuDriver::start(const GuestDefinition& definition, Callback<Done> done) {
    const std::string name = definition.name;
    if (auto at = guests_.find(name); at != guests_.end()) {
        const GuestState state = at->second.guest->state();
        if (state != GuestState::lost) {
            asio::post(io_, [name, state, done] {
                if (state == GuestState::running) return done(Done{});
                done(fail("starting guest " + name, "", "it is " + name_of(state),
                          ErrorKind::refused));
            });
            return;
        }
        guests_.erase(at);
        adapters_.release(name);
    }
    auto added = add(definition);
    if (!added) return asio::post(io_, [e = added.error(), done = std::move(done)] { done(e); });
    const auto guest = *added;
    launch(guest, QemuGuest::Launch::boot,
           [this, guest, name, done = std::move(done)](Result<Done> launched) {
               if (!launched) drop(name, guest);
               done(std::move(launched));
           });
}

void QemuDriver::launch(const std::shared_ptr<QemuGuest>& guest, QemuGuest::Launch how,
                        Callback<Done> done) {
    Result<void> reserved = reserve_adapters(guest);
    if (!reserved) {
        return asio::post(io_, [e = reserved.error(), done = std::move(done)] { done(e); });
    }
    const auto& its = guests_[guest->definition().name].adapters;
    guest->launch(how, its ? its->names() : std::vector<std::string>(), std::move(done));
}

void QemuDriver::destroy(const std::string& name, Callback<Done> done) {
    auto at = guests_.find(name);
    if (at == guests_.end()) return asio::post(io_, [done = std::move(done)] { done(Done{}); });
    auto guest = at->second.guest;
    guest->destroy([this, guest, name, done = std::move(done)](Result<Done> destroyed) {
        if (destroyed) drop(name, guest);
        done(std::move(destroyed));
    });
}

// ---- a capture ----

void QemuDriver::prepare(const std::string& name, CaptureMethod method, Callback<Done> done) {
    auto guest = find("preparing", name, done);
    if (!guest) return;
    // An aborted line's stream may still be on its way to nowhere.
    if (auto earlier = guests_[name].capture) {
        return earlier->await_end([this, guest, method, done = std::move(done)](Result<Done>) {
            set_method(guest, method, monotonic_ms() + kMigrationLimit, done);
        });
    }
    set_method(guest, method, monotonic_ms() + kMigrationLimit, std::move(done));
}

void QemuDriver::set_method(const std::shared_ptr<QemuGuest>& guest, CaptureMethod method,
                            std::int64_t until_ms, Callback<Done> done) {
    const bool background = method == CaptureMethod::background;
    auto on_migration = [=, this](const Error& why, const std::string& status) {
        if (status != "setup" && status != "active" && status != "device" &&
            status != "cancelling") {
            Error e = why;
            if (background && e.kind == ErrorKind::failed) e.kind = ErrorKind::refused;
            return done(e);
        }
        if (monotonic_ms() >= until_ms) return done(why);
        auto timer = std::make_shared<asio::steady_timer>(io_, kMigrationStep);
        timer->async_wait([=, this](boost::system::error_code) {
            (void)timer;
            set_method(guest, method, until_ms, done);
        });
    };
    guest->set_capability("background-snapshot", background, [=](Result<Done> set) {
        if (set) return done(Done{});
        // A capture of the bridge before us may still be on its way; then QEMU takes none.
        guest->command("query-migrate", {}, [=](Result<json::value> reply) {
            on_migration(set.error(), reply ? text_in(*reply, "status") : std::string());
        });
    });
}

void QemuDriver::change_adapters(const std::string& name,
                                 void (QemuAdapters::*change)(Callback<Done>),
                                 Callback<Done> done) {
    auto at = guests_.find(name);
    if (at == guests_.end() || at->second.guest->definition().adapters == 0) {
        return asio::post(io_, [done = std::move(done)] { done(Done{}); });
    }
    Result<void> reserved = reserve_adapters(at->second.guest);
    if (!reserved) {
        return asio::post(io_, [e = reserved.error(), done = std::move(done)] { done(e); });
    }
    ((*at->second.adapters).*change)(std::move(done));
}

void QemuDriver::detach_devices(const std::string& name, Callback<Done> done) {
    change_adapters(name, &QemuAdapters::unplug, std::move(done));
}

void QemuDriver::attach_devices(const std::string& name, Callback<Done> done) {
    change_adapters(name, &QemuAdapters::plug, std::move(done));
}

void QemuDriver::freeze(const std::string& name, Callback<std::int64_t> done) {
    if (auto guest = find("stopping", name, done)) guest->freeze(std::move(done));
}

void QemuDriver::capture(const std::string& name, CaptureMethod method, Fd stream,
                         Callback<std::int64_t> captured, Callback<Done> finished) {
    auto guest =
        find<std::int64_t>("capturing", name, [captured, finished](Result<std::int64_t> r) {
            captured(r);
            finished(r.error());
        });
    if (!guest) return;
    auto end = [this, guest, name, method, finished](Result<Done> outcome) {
        if (auto at = guests_.find(name); at != guests_.end()) at->second.capture.reset();
        if (method == CaptureMethod::background && guest->state() != GuestState::lost) {
            guest->set_capability("background-snapshot", false, [](Result<Done>) {});
        }
        finished(std::move(outcome));
    };
    auto capture = std::make_shared<QemuCapture>(guest, method,
                                                 QemuCapture::Handlers{std::move(captured), end});
    guests_[name].capture = capture;
    capture->start(std::move(stream));
}

void QemuDriver::resume(const std::string& name, Callback<Done> done) {
    if (auto guest = find("resuming", name, done)) guest->resume(std::move(done));
}

void QemuDriver::cancel(const std::string& name, Callback<Done> done) {
    auto guest = find("cancelling the capture of", name, done);
    if (!guest) return;
    if (auto migration = guests_[name].migration) return migration->cancel(std::move(done));
    // A capture takes its capability back itself when it ends.
    if (auto capture = guests_[name].capture) return capture->cancel(std::move(done));
    guest->set_capability("background-snapshot", false, std::move(done));
}

// ---- restore ----

void QemuDriver::restore(const GuestDefinition& definition, Fd stream, Callback<Done> done) {
    load(definition, std::move(stream), QemuGuest::Launch::restore, std::move(done));
}

void QemuDriver::load(const GuestDefinition& definition, Fd stream, QemuGuest::Launch how,
                      Callback<Done> done) {
    const std::string name = definition.name;
    if (auto at = guests_.find(name); at != guests_.end()) {
        const GuestState state = at->second.guest->state();
        if (state != GuestState::lost) {
            asio::post(io_, [name, state, done] {
                done(fail("restoring guest " + name, "", "it is here, " + name_of(state),
                          ErrorKind::refused));
            });
            return;
        }
        guests_.erase(at);
        adapters_.release(name);
    }
    auto added = add(definition);
    if (!added) return asio::post(io_, [e = added.error(), done = std::move(done)] { done(e); });
    const auto guest = *added;
    auto undo = [this, guest, name, done](const Error& why) {
        guest->destroy([this, guest, name, done, why](Result<Done>) {
            drop(name, guest);
            done(why);
        });
    };
    auto shared_stream = std::make_shared<Fd>(std::move(stream));
    const bool arrives = how == QemuGuest::Launch::arrive;
    const GuestState then = arrives ? GuestState::arrived : GuestState::paused;
    launch(guest, how, [guest, shared_stream, then, undo, done](Result<Done> launched) {
        if (!launched) return undo(launched.error());
        load_qemu(guest, std::move(*shared_stream), then, [undo, done](Result<Done> loaded) {
            if (!loaded) return undo(loaded.error());
            done(Done{});
        });
    });
}

// ---- a move ----

void QemuDriver::migrate_out(const std::string& name, Fd stream, std::uint64_t limit_bytes_s,
                             MigrateOut events) {
    auto guest = find<std::int64_t>("sending", name, events.finished);
    if (!guest) return;
    auto finished = [this, name, told = std::move(events.finished)](Result<std::int64_t> at) {
        if (auto entry = guests_.find(name); entry != guests_.end()) {
            entry->second.migration.reset();
        }
        told(std::move(at));
    };
    events.finished = std::move(finished);
    auto migration = std::make_shared<QemuMigration>(guest, std::move(events));
    guests_[name].migration = migration;
    auto earlier = guests_[name].capture;
    if (!earlier) return migration->start(std::move(stream), limit_bytes_s);
    // An aborted line's stream may still be on its way to nowhere.
    auto shared_stream = std::make_shared<Fd>(std::move(stream));
    earlier->await_end([guest, migration, shared_stream, limit_bytes_s](Result<Done>) {
        guest->set_capability("background-snapshot", false, [=](Result<Done>) {
            migration->start(std::move(*shared_stream), limit_bytes_s);
        });
    });
}

void QemuDriver::converge(const std::string& name, Callback<Done> done) {
    if (!find("stopping", name, done)) return;
    if (auto migration = guests_[name].migration) return migration->converge(std::move(done));
    asio::post(io_, [done = std::move(done)] { done(Done{}); });  // it is over
}

void QemuDriver::ask_migration(const std::string& name, Callback<MigrationFacts> done) {
    if (auto guest = find("asking for the progress of", name, done)) {
        QemuMigration::ask(guest, std::move(done));
    }
}

void QemuDriver::migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) {
    load(definition, std::move(stream), QemuGuest::Launch::arrive, std::move(done));
}

}  // namespace grl::bridge
