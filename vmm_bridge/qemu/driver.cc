#include "vmm_bridge/qemu/driver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <cerrno>

#include "grl/base/log.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/host/contents.h"
#include "vmm_bridge/host/process.h"
#include "vmm_bridge/qemu/command.h"

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

// A machine without a release in its name is another one in each release of QEMU.
std::vector<GuestPart> QemuDriver::parts_of(const GuestDefinition& definition) const {
    std::vector<GuestPart> parts;
    const Result<QemuSection> section = qemu_section(definition);
    if (!section) return parts;
    std::string machine = section->machine.substr(0, section->machine.find(','));
    const std::size_t dash = machine.rfind('-');
    const bool dated = dash != std::string::npos && machine.find('.', dash) != std::string::npos;
    parts.push_back({"machine", {}, dated ? machine : machine + " of " + version_});
    add_file_parts(*section, parts);
    return parts;
}

// ---- open ----

void QemuDriver::open(Events events, Callback<Done> done) {
    listen(std::move(events));
    run_program(io_, {kQemuProgram, "-sandbox", kQemuSandbox, "-version"}, kVersionLimit,
                [this, done = std::move(done)](Result<Output> output) {
                    if (!output) return done(output.error());
                    if (output->status != 0) {
                        return done(fail("asking QEMU for its version", kQemuProgram,
                                         output->text.substr(0, output->text.find('\n'))));
                    }
                    version_ = version_in(output->text);
                    bound_logs();
                    adopt_all(
                        ".definition", [this](const std::string& name) { return left(name); },
                        done);
                });
}

Result<std::shared_ptr<QemuGuest>> QemuDriver::make(const GuestDefinition& definition,
                                                    HostedGuest::Handlers handlers) {
    Result<QemuSection> section = qemu_section(definition);
    if (!section) return section.error();
    return std::make_shared<QemuGuest>(io_, definition, std::move(*section), run_dir_,
                                       std::move(handlers));
}

std::optional<QemuDriver::Found> QemuDriver::left(const std::string& name) {
    const auto definition = QemuGuest::left_behind(run_dir_, name);
    if (!definition) return std::nullopt;
    auto guest = add(*definition);
    if (!guest) return std::nullopt;
    return Found{*guest, [guest = *guest](Callback<Done> done) { guest->adopt(std::move(done)); }};
}

// A guest's root writes its console as fast as it likes, and run_dir is memory. Blocks count, not
// the size: after a truncation the file of a QEMU that does not append has a hole.
void QemuDriver::bound_logs() {
    for (const auto& [name, entry] : guests()) {
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

// ---- a capture ----

void QemuDriver::prepare(const std::string& name, CaptureMethod method, Callback<Done> done) {
    auto guest = find("preparing", name, done);
    if (!guest) return;
    // An aborted line's stream may still be on its way to nowhere.
    if (auto earlier = work_of(name)->capture) {
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

void QemuDriver::capture(const std::string& name, CaptureMethod method, Fd stream,
                         Callback<std::int64_t> captured, Callback<Done> finished) {
    auto guest =
        find<std::int64_t>("capturing", name, [captured, finished](Result<std::int64_t> r) {
            captured(r);
            finished(r.error());
        });
    if (!guest) return;
    auto end = [this, guest, name, method, finished](Result<Done> outcome) {
        if (QemuWork* work = work_of(name)) work->capture.reset();
        if (method == CaptureMethod::background && guest->state() != GuestState::lost) {
            guest->set_capability("background-snapshot", false, [](Result<Done>) {});
        }
        finished(std::move(outcome));
    };
    auto capture = std::make_shared<QemuCapture>(guest, method,
                                                 QemuCapture::Handlers{std::move(captured), end});
    work_of(name)->capture = capture;
    capture->start(std::move(stream));
}

void QemuDriver::cancel(const std::string& name, Callback<Done> done) {
    auto guest = find("cancelling the capture of", name, done);
    if (!guest) return;
    if (auto migration = work_of(name)->migration) return migration->cancel(std::move(done));
    // A capture takes its capability back itself when it ends.
    if (auto capture = work_of(name)->capture) return capture->cancel(std::move(done));
    guest->set_capability("background-snapshot", false, std::move(done));
}

// ---- a move ----

void QemuDriver::migrate_out(const std::string& name, Fd stream, std::uint64_t limit_bytes_s,
                             MigrateOut events) {
    auto guest = find<std::int64_t>("sending", name, events.finished);
    if (!guest) return;
    auto migration = add_migration(guest, std::move(events));
    auto earlier = work_of(name)->capture;
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
    if (auto migration = work_of(name)->migration) return migration->converge(std::move(done));
    later(std::move(done), Done{});  // it is over
}

void QemuDriver::ask_migration(const std::string& name, Callback<MigrationFacts> done) {
    if (auto guest = find("asking for the progress of", name, done)) {
        QemuMigration::ask(guest, std::move(done));
    }
}

}  // namespace grl::bridge
