#include "vmm_bridge/qemu/guest.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <sstream>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/host/tap.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kCommandLimit{10'000};
constexpr std::int64_t kStatusLimit = 5'000;  // ms
constexpr Milliseconds kStatusStep{2};
constexpr Milliseconds kKillLimit{20'000};
constexpr Milliseconds kEndLimit{1'000};
constexpr std::size_t kLastWords = 400;  // bytes

}  // namespace

QemuGuest::QemuGuest(asio::io_context& io, GuestDefinition definition, QemuSection section,
                     const std::string& run_dir, Handlers handlers)
    : HostedGuest(std::move(definition), std::move(handlers)),
      io_(io),
      section_(std::move(section)),
      paths_(run_dir, definition_.name),
      passthrough_(*this),
      timer_(io) {}

QemuGuest::~QemuGuest() {
    if (qmp_) qmp_->close();
}

// ---- freeze, resume ----

void QemuGuest::freeze(Callback<std::int64_t> done) {
    if (state() == GuestState::paused) {
        // Frozen already; a restored guest that has not run yet is as good.
        asio::post(io_, [at = stopped_at_ns_ ? stopped_at_ns_ : now_ns(), done] { done(at); });
        return;
    }
    if (state() != GuestState::running) {
        asio::post(io_, [e = error("stopping", "it is " + name_of(state()), ErrorKind::refused),
                         done] { done(e); });
        return;
    }
    mark_frozen(true);
    stopped_at_ns_ = 0;
    command("stop", {}, [self = shared_from_this(), done](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        if (self->stopped_at_ns_ == 0) self->stopped_at_ns_ = now_ns();
        self->set_state(GuestState::paused);
        done(self->stopped_at_ns_);
    });
}

// The marks tell the next bridge what may be done with it (see settle_adopted).
void QemuGuest::mark_frozen(bool frozen) {
    mark(paths_.frozen(), frozen);
}

void QemuGuest::mark_moving(bool moving) {
    mark(paths_.moving(), moving);
}

void QemuGuest::mark(const std::string& path, bool there) {
    if (!there) {
        unlink(path.c_str());
        return;
    }
    Fd made(open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (!made) log_warning("cannot mark guest " + definition_.name + ": " + errno_text(errno));
}

void QemuGuest::resume(Callback<Done> done) {
    if (state() != GuestState::running && state() != GuestState::paused &&
        state() != GuestState::arrived && state() != GuestState::moved) {
        asio::post(io_, [e = error("resuming", "it is " + name_of(state()), ErrorKind::refused),
                         done] { done(e); });
        return;
    }
    auto verified = [self = shared_from_this(), done](Result<std::string> word) {
        if (!word) return done(word.error());
        self->mark_frozen(false);
        self->mark_moving(false);
        self->set_state(GuestState::running);
        if (!std::exchange(self->incoming_, false)) return done(Done{});
        // The switches must learn that its address has moved here.
        self->command("announce-self",
                      {{"initial", 50}, {"max", 550}, {"rounds", 5}, {"step", 50}},
                      [done](Result<json::value>) { done(Done{}); });
    };
    // Also if it runs: a migration that was cancelled at its end has been seen to leave 7.2 running
    // with disks given away, and the next migration's end makes it abort then. This takes them back.
    command("cont", {}, [self = shared_from_this(), verified](Result<json::value> reply) {
        if (!reply) return verified(reply.error());
        self->await_status({"running"}, verified);
    });
}

// ---- the monitor ----

void QemuGuest::command(const std::string& name, json::object arguments, Callback<json::value> done,
                        Fd pass) {
    command(name, std::move(arguments), kCommandLimit, std::move(done), std::move(pass));
}

void QemuGuest::command(const std::string& name, json::object arguments, Milliseconds limit,
                        Callback<json::value> done, Fd pass) {
    if (qmp_) return qmp_->execute(name, std::move(arguments), limit, done, std::move(pass));
    asio::post(io_, [name, where = paths_.monitor(), done] {
        done(fail("QEMU's " + name, where, "its monitor is closed", ErrorKind::unreachable));
    });
}

void QemuGuest::set_capability(const std::string& name, bool on, Callback<Done> done) {
    json::array capabilities{json::object{{"capability", name}, {"state", on}}};
    command("migrate-set-capabilities", {{"capabilities", std::move(capabilities)}},
            [done = std::move(done)](Result<json::value> reply) {
                if (!reply) return done(reply.error());
                done(Done{});
            });
}

void QemuGuest::await_status(std::vector<std::string> wanted, Callback<std::string> done) {
    poll_status(std::move(wanted), monotonic_ms() + kStatusLimit, std::move(done));
}

void QemuGuest::poll_status(std::vector<std::string> wanted, std::int64_t deadline_ms,
                            Callback<std::string> done) {
    command("query-status", {}, [=, self = shared_from_this()](Result<json::value> reply) {
        if (!reply) return done(reply.error());
        const std::string status = text_in(*reply, "status");
        if (std::find(wanted.begin(), wanted.end(), status) != wanted.end()) return done(status);
        if (monotonic_ms() >= deadline_ms) {
            return done(self->error("waiting for", "QEMU says that it is " + status + ", not " +
                                                       wanted.front()));
        }
        auto timer = std::make_shared<asio::steady_timer>(self->io_, kStatusStep);
        timer->async_wait(
            [=](boost::system::error_code) { self->poll_status(wanted, deadline_ms, done); });
    });
}

void QemuGuest::on_event(const QmpEvent& event) {
    if (event.name == "STOP") stopped_at_ns_ = event.at_ns;
    if (event.name == "SHUTDOWN") {
        const json::value* by_guest = event.data.if_contains("guest");
        shut_down_ = by_guest && by_guest->is_bool() && by_guest->get_bool();
    }
    if (event.name == "DEVICE_DELETED") passthrough_.on_unplugged(text_in(event.data, "device"));
    if (watcher_) {
        auto watcher = watcher_;  // it may replace itself
        watcher(event);
    }
}

// Mostly its process has ended too: that tells the reason, so wait for it a little.
void QemuGuest::on_monitor_closed(const Error& error) {
    qmp_.reset();
    if (ending()) return;
    timer_.expires_after(kEndLimit);
    timer_.async_wait([self = shared_from_this(), error](boost::system::error_code ec) {
        if (ec || self->qmp_ || !self->process_) return;
        log_warning("guest " + self->definition_.name + " runs on, but: " + error.text());
        if (auto watcher = std::exchange(self->watcher_, nullptr)) watcher(error);
    });
}

// ---- its end ----

void QemuGuest::destroy(Callback<Done> done) {
    if (!join_ending(std::move(done))) return;
    if (!launching_) end_process();  // else launched() does
}

void QemuGuest::end_process() {
    // A launch that failed may have left a QEMU all the same.
    if (!process_) {
        Result<void> opened = open_process();
        (void)opened;
    }
    if (!process_) {
        asio::post(io_, [self = shared_from_this()] { self->on_process_ended(); });
        return;
    }
    Result<void> killed = process_->kill();
    if (!killed) return end(killed.error());
    timer_.expires_after(kKillLimit);
    timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
        if (ec || !self->process_) return;
        self->end(self->error("destroying",
                              "its QEMU was killed but does not go (a dead file system?)"));
    });
}

void QemuGuest::on_process_ended() {
    auto self = shared_from_this();
    process_.reset();
    timer_.cancel();
    if (qmp_) qmp_->close();
    qmp_.reset();
    const std::string reason = shut_down_ ? "it shut itself down" : last_words();
    if (auto watcher = std::exchange(watcher_, nullptr)) {
        watcher(fail("guest " + definition_.name, "", reason));
    }
    clear_host();
    if (ending()) {
        set_state(GuestState::absent);
        return end(Done{});
    }
    const bool known = state() == GuestState::running || state() == GuestState::paused;
    set_state(GuestState::lost);
    if (known) tell_death(reason);
}

void QemuGuest::clear_host() {
    for (std::size_t i = 0; i < section_.nics.size(); ++i) {
        Result<void> gone = remove_tap(tap_name(definition_.name, i));
        if (!gone) log_warning(gone.error().text());
    }
    for (const std::string& path : {paths_.monitor(), paths_.pid(), paths_.console(),
                                    paths_.definition(), paths_.frozen(), paths_.moving()}) {
        unlink(path.c_str());
    }
}

// QEMU's log ends with the reason, if it had time to write one.
std::string QemuGuest::last_words() const {
    Result<std::string> log = read_file(paths_.log());
    std::istringstream lines(log ? *log : std::string());
    std::string text;
    // It says some things once a page.
    for (std::string line; std::getline(lines, line);) {
        if (text.find(line) == std::string::npos) text += (text.empty() ? "" : "; ") + line;
    }
    if (text.size() > kLastWords) text.erase(0, text.size() - kLastWords);
    return "its QEMU has ended" + (text.empty() ? std::string() : ": " + text);
}

}  // namespace grl::bridge
