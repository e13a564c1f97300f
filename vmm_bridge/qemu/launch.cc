// A guest's beginning: launched here, or taken over from a bridge that is gone.
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <cstdlib>

#include "grl/base/log.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/host/tap.h"
#include "vmm_bridge/qemu/command.h"
#include "vmm_bridge/qemu/guest.h"
#include "vmm_bridge/qemu/restore.h"

namespace grl::bridge {

namespace {

constexpr Milliseconds kLaunchLimit{30'000};
constexpr Milliseconds kMonitorLimit{10'000};
constexpr Milliseconds kLastLimit{1'000};
constexpr std::uint64_t kBandwidth = 1ULL << 40;  // bytes a second: as fast as we read

pid_t pid_in(const std::string& path) {
    Result<std::string> text = read_file(path, 64);
    return text ? static_cast<pid_t>(std::strtol(text->c_str(), nullptr, 10)) : 0;
}

}  // namespace

// ---- launch ----

void QemuGuest::start(Callback<Done> done) {
    launch(Launch::boot, std::move(done));
}

void QemuGuest::load(Fd stream, GuestState then, Callback<Done> done) {
    auto self = shared_from_this();
    auto undo = [self, done](const Error& why) {
        self->destroy([done, why](Result<Done>) { done(why); });
    };
    auto shared_stream = std::make_shared<Fd>(std::move(stream));
    launch(then == GuestState::arrived ? Launch::arrive : Launch::restore,
           [self, shared_stream, then, undo, done](Result<Done> launched) {
               if (!launched) return undo(launched.error());
               load_qemu(self, std::move(*shared_stream), then, [undo, done](Result<Done> loaded) {
                   loaded ? done(Done{}) : undo(loaded.error());
               });
           });
}

void QemuGuest::launch(Launch how, Callback<Done> done) {
    set_state(how == Launch::arrive ? GuestState::arriving : GuestState::starting);
    incoming_ = how != Launch::boot;
    Result<void> ready = prepare_host();
    if (!ready) {
        asio::post(io_, [self = shared_from_this(), e = ready.error(), done = std::move(done)] {
            self->destroy([e, done](Result<Done>) { done(e); });
        });
        return;
    }
    if (how == Launch::arrive) mark_moving(true);
    launching_ = true;
    run_program(io_, qemu_command(definition_, section_, paths_, own_devices(), incoming_),
                kLaunchLimit,
                [self = shared_from_this(), how, done = std::move(done)](Result<Output> output) {
                    self->launched(how, std::move(output), done);
                });
}

Result<void> QemuGuest::prepare_host() {
    for (const std::string& path :
         {paths_.monitor(), paths_.pid(), paths_.console(), paths_.console_log(), paths_.log(),
          paths_.frozen(), paths_.moving()}) {
        unlink(path.c_str());
    }
    // First of all: whoever clears up after us learns from it what there may be.
    Result<void> kept =
        replace_file(paths_.definition(), json::serialize(to_json(definition_)));
    if (!kept) return kept;
    for (std::size_t i = 0; i < section_.nics.size(); ++i) {
        const Nic& nic = section_.nics[i];
        Result<void> ok = make_tap(tap_name(definition_.name, i), nic.bridge, nic.mac);
        if (!ok) return ok;
    }
    return {};
}

void QemuGuest::launched(Launch how, Result<Output> output, Callback<Done> done) {
    launching_ = false;
    const Error destroyed =
        fail("starting QEMU for guest " + definition_.name, "", "it was destroyed meanwhile");
    if (ending()) {
        end_process();
        return done(destroyed);
    }
    // Something that failed on the way is taken back before it is told.
    Callback<Done> end = [self = shared_from_this(), how, destroyed, was = state(),
                          done](Result<Done> result) {
        if (result && self->state() != was) result = destroyed;
        if (!result) {
            return self->destroy([e = result.error(), done](Result<Done>) { done(e); });
        }
        if (how == Launch::boot) self->set_state(GuestState::running);
        done(Done{});
    };
    if (!output) return end(output.error());
    if (output->status != 0) {
        std::string why = output->text;
        while (!why.empty() && why.back() == '\n') why.pop_back();
        if (why.empty()) why = last_words();
        return end(fail("starting QEMU for guest " + definition_.name, paths_.base, why));
    }
    Result<void> opened = open_process();
    if (!opened) return end(opened.error());
    connect(std::move(end));
}

Result<void> QemuGuest::open_process() {
    const pid_t pid = pid_in(paths_.pid());
    if (pid <= 0) {
        return fail("finding guest " + definition_.name, paths_.pid(), "no QEMU has left its pid",
                    ErrorKind::not_found);
    }
    // The descriptor first: what is checked afterwards is about the process it is bound to.
    Result<Process> process = Process::open(io_, pid);
    if (!process) return process.error();
    if (!is_qemu_of(command_line_of(pid), paths_)) {
        return fail("finding guest " + definition_.name, paths_.pid(),
                    "process " + std::to_string(pid) + " is not its QEMU", ErrorKind::not_found);
    }
    process_ = std::move(*process);
    process_->wait([weak = weak_from_this()] {
        if (auto self = weak.lock()) self->on_process_ended();
    });
    return {};
}

void QemuGuest::connect(Callback<Done> done) {
    Qmp::connect(
        io_, paths_.monitor(), kMonitorLimit,
        [self = shared_from_this(), done](Result<std::shared_ptr<Qmp>> qmp) {
            if (!qmp) return done(qmp.error());
            self->qmp_ = *qmp;
            self->qmp_->set_handlers({[weak = self->weak_from_this()](const QmpEvent& event) {
                                          if (auto guest = weak.lock()) guest->on_event(event);
                                      },
                                      [weak = self->weak_from_this()](const Error& error) {
                                          if (auto guest = weak.lock())
                                              guest->on_monitor_closed(error);
                                      }});
            self->command("migrate-set-parameters", {{"max-bandwidth", kBandwidth}},
                          [self, done](Result<json::value> set) {
                              if (!set) return done(set.error());
                              self->set_capability("events", true, [self, done](Result<Done> on) {
                                  // An adopted guest may be in the midst of a capture: then QEMU
                                  // takes no capabilities, and has had this one since its launch.
                                  if (!on && !self->qmp_) return done(on);
                                  done(Done{});
                              });
                          });
        });
}

// ---- adopt ----

std::optional<GuestDefinition> QemuGuest::left_behind(const std::string& run_dir,
                                                      const std::string& guest) {
    const QemuPaths paths(run_dir, guest);
    Result<std::string> text = read_file(paths.definition());
    if (!text) return std::nullopt;
    boost::system::error_code ec;
    json::value value = json::parse(*text, ec);
    if (ec) return std::nullopt;
    Result<GuestDefinition> definition = from_json<GuestDefinition>(value, "a guest's definition");
    if (!definition || definition->name != guest) return std::nullopt;
    // A newer release may have left keys that this one does not know.
    if (!complete_section<QemuSection>(definition->qemu, "qemu", Unknown::pass)) {
        return std::nullopt;
    }
    return *definition;
}

void QemuGuest::adopt(Callback<Done> done) {
    set_state(GuestState::starting);
    Result<void> opened = open_process();
    if (!opened) {
        // Its QEMU ended while there was no bridge.
        clear_host();
        set_state(GuestState::absent);
        asio::post(io_, [e = opened.error(), done = std::move(done)] { done(e); });
        return;
    }
    Callback<Done> end = [self = shared_from_this(), done](Result<Done> adopted) {
        if (adopted) return done(adopted);
        self->give_up_adopting(adopted.error(), done);
    };
    connect([self = shared_from_this(), end](Result<Done> connected) {
        if (!connected) return end(connected.error());
        self->settle_capture([self, end](Result<Done> settled) {
            if (!settled) return end(settled.error());
            self->command("query-status", {}, [self, end](Result<json::value> status) {
                if (!status) return end(status.error());
                self->settle_adopted(text_in(*status, "status"), end);
            });
        });
    });
}

// Mostly because its QEMU is about to end, as one does whose source has gone: then nothing of it
// is left here. One that runs on, but does not listen, can only be destroyed.
void QemuGuest::give_up_adopting(const Error& why, Callback<Done> done) {
    auto timer = std::make_shared<asio::steady_timer>(io_, kLastLimit);
    timer->async_wait([=, self = shared_from_this()](boost::system::error_code) {
        (void)timer;
        self->set_state(self->process_ ? GuestState::lost : GuestState::absent);
        done(why);
    });
}

// What the bridge before us was capturing when it ended: stop-and-copy is cancelled, a background
// snapshot must run to its end (into the stream keeper), and the capability stays till then.
void QemuGuest::settle_capture(Callback<Done> done) {
    command("query-migrate-capabilities", {},
            [self = shared_from_this(), done](Result<json::value> r) {
                if (!r) return done(r.error());
                bool background = false;
                for (const auto& entry : r->is_array() ? r->get_array() : json::array()) {
                    if (text_in(entry, "capability") != "background-snapshot") continue;
                    const json::value* state = entry.get_object().if_contains("state");
                    background = state && state->is_bool() && state->get_bool();
                }
                if (background) {
                    return self->set_capability("background-snapshot", false,
                                                [done](Result<Done>) { done(Done{}); });
                }
                self->command("migrate_cancel", {}, [done](Result<json::value>) { done(Done{}); });
            });
}

void QemuGuest::settle_adopted(const std::string& status, Callback<Done> done) {
    if (status == "running") {
        set_state(GuestState::running);
        return resume(std::move(done));  // takes its disks back, if need be
    }
    if (status == "inmigrate" || status == "prelaunch") {
        log_warning("guest " + definition_.name +
                    " was being restored when its bridge ended: it goes");
        return destroy(std::move(done));
    }
    if (status == "finish-migrate") {  // about to be the one or the other
        return await_status({"running", "postmigrate"},
                            [self = shared_from_this(), done](Result<std::string> settled) {
                                if (!settled) return done(settled.error());
                                self->settle_adopted(*settled, done);
                            });
    }
    const bool held = access(paths_.frozen().c_str(), F_OK) == 0;
    const bool sent = status == "postmigrate";
    if (access(paths_.moving().c_str(), F_OK) == 0 && (sent || !held)) {
        log_warning("guest " + definition_.name + " was on its way " + (sent ? "from" : "to") +
                    " this host when its bridge ended: it waits for the coordinator's word");
        // Another host learns of its address when it runs here.
        incoming_ = true;
        set_state(sent ? GuestState::moved : GuestState::arrived);
        return done(Done{});
    }
    set_state(GuestState::paused);
    if (!held) return done(Done{});  // restored, and waits
    log_warning("guest " + definition_.name +
                " was held by a line or a move when its bridge ended: it goes on");
    resume(std::move(done));
}

}  // namespace grl::bridge
