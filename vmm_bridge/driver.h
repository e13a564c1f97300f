// What a VMM must be able to do for the bridge, and all that the bridge knows of one. QEMU's is in
// qemu/, Xen's in xen/; drivers.h makes the one that is configured, and what both do alike stands in
// guest_table.h.
//
// Threads: everything on the io_context's one thread; no call blocks longer than a small local file
// takes. Each callback comes exactly once and never inside the call that was given it. Every act
// has a deadline of its own; after a failure the guest is in the state it was in, unless its VMM
// died.
//
// A capture, per guest, in this order (the bridge keeps to it, for all guests of a line together):
//
//     prepare ──► freeze ──► capture ──┬─► captured ──► resume      the guest runs again
//        │           │          │      └─► finished                 the stream has ended well
//        └───────────┴──────────┴────► cancel ──► resume            at any time; all undone
//
// A guest that is captured live is prepared, and then sent away (below) into its image, where it
// stays.
//
// A move, of one guest:
//
//     migrate_out ──► copied ──► converge ──► finished      it stands still here, all of it is sent
//        │              │            │            ├─► destroy       it runs there
//        └──────────────┴── cancel ──┴────────────┴─► resume        it goes on here
//     migrate_in ──► it waits there ──► resume, or destroy
//
// A guest with passthrough devices (host/passthrough.h) cannot be saved while it has them, so it is
// captured by stop-and-copy and sent while it stands still. detach_devices comes before freeze or
// converge, when its job is silent, and attach_devices after each resume.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grl/base/file.h"
#include "grl/messages/opening.h"
#include "grl/messages/phase.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/host/definitions.h"

namespace grl::bridge {

// What the guest's memory takes for granted beside the definition: a file that has it, or a word.
struct GuestPart {
    std::string part;  // machine, kernel, initrd, disk
    std::string path;  // of the file; empty: `id` says it
    std::string id = {};
};

struct GuestView {
    GuestDefinition definition;  // it was started with
    std::string digest;          // of that definition
    GuestState state = GuestState::absent;
    std::uint64_t resident_bytes = 0;  // host memory its VMM holds; bounds its stream
};

// What a VMM says of a guest that it sends away.
struct MigrateOut {
    std::function<void()> copied;   // the first pass is over: from here on only what it has written
    std::function<void()> stopped;  // it stands still; the rest is on its way
    // All is in the stream, and the time of the stop; or why not: then it runs on here.
    Callback<std::int64_t> finished;
    bool stays = false;  // it is only captured: nobody else will run it
};

struct MigrationFacts {
    std::uint64_t left_bytes = 0;
    std::uint64_t dirty_bytes_s = 0;
    std::uint32_t passes = 0;
};

class Driver {
  public:
    struct Events {
        std::function<void()> changed;  // some guest's state
        std::function<void(const std::string& guest, const std::string& reason)> died;
    };

    virtual ~Driver() = default;

    virtual std::string name() const = 0;     // as in definitions: qemu, xen
    virtual std::string version() const = 0;  // "QEMU 7.2.22"; known after open

    // Finds the VMM and takes over the guests that already run here. First of all calls.
    virtual void open(Events events, Callback<Done> done) = 0;

    // The guests that are here, lost ones too until they are destroyed.
    virtual std::vector<GuestView> list() const = 0;

    // Whether there is room for one more: passthrough devices, and the VMM's memory where it counts itself.
    virtual Result<void> check_room(const GuestDefinition&) const { return {}; }

    virtual std::vector<GuestPart> parts_of(const GuestDefinition&) const { return {}; }

    virtual std::size_t adapters_free() const { return 0; }  // passthrough devices

    // Boot it. Done when the VMM runs it; also when it ran already.
    virtual void start(const GuestDefinition& definition, Callback<Done> done) = 0;

    // Done when nothing of it is left; also when it was not here.
    virtual void destroy(const std::string& guest, Callback<Done> done) = 0;

    // Get ready to capture by `method`, while the guest runs. An error of kind refused says that
    // this method cannot be had for this guest; another may.
    virtual void prepare(const std::string& guest, CaptureMethod method, Callback<Done> done) = 0;

    // Take its passthrough devices out; it must run, as it has to let go of them. They stay its own. On
    // failure some may be out: attach_devices. Done also when there are none.
    virtual void detach_devices(const std::string& guest, Callback<Done> done) = 0;
    // Give the running guest what it lacks of them. Done also when it lacks none.
    virtual void attach_devices(const std::string& guest, Callback<Done> done) = 0;

    // Stop it. Gives the time of the stop.
    virtual void freeze(const std::string& guest, Callback<std::int64_t> done) = 0;

    // Cut the frozen guest; its state goes into `stream` (a socket; the driver closes its end).
    // `captured` gives the time from which the state can no longer change. A guest captured in the
    // background runs by then. `finished` comes after it: the stream holds the whole state, or why
    // not. If `captured` is an error, `finished` brings the same one, and the guest is still
    // stopped.
    virtual void capture(const std::string& guest, CaptureMethod method, Fd stream,
                         Callback<std::int64_t> captured, Callback<Done> finished) = 0;

    // Let it run: after freeze, capture or restore. Verified. Done also when it ran already.
    virtual void resume(const std::string& guest, Callback<Done> done) = 0;

    // End a capture, whatever it is at, and undo prepare. Done when nothing holds the guest any
    // more; its stream may flow on for a while, and must be read on.
    virtual void cancel(const std::string& guest, Callback<Done> done) = 0;

    // Load it from `stream`, paused. On failure nothing of it is left.
    virtual void restore(const GuestDefinition& definition, Fd stream, Callback<Done> done) = 0;

    // Send it through `stream` (a socket) while it runs. It is stopped when converge() says so, or
    // before that, if so little is left that the VMM does it by itself.
    virtual void migrate_out(const std::string& guest, Fd stream, std::uint64_t limit_bytes_s,
                             MigrateOut events) = 0;
    // Stop it at the next chance, however much is left.
    virtual void converge(const std::string& guest, Callback<Done> done) = 0;
    virtual void ask_migration(const std::string& guest, Callback<MigrationFacts> done) = 0;
    // As restore; but it is on its way from another host, and stands in the list as such.
    virtual void migrate_in(const GuestDefinition& definition, Fd stream, Callback<Done> done) = 0;
};

// It runs, and has its passthrough devices.
inline void let_run(Driver& driver, const std::string& guest, Callback<Done> done) {
    driver.resume(guest, [&driver, guest, done = std::move(done)](Result<Done> resumed) {
        resumed ? driver.attach_devices(guest, done) : done(std::move(resumed));
    });
}

}  // namespace grl::bridge
