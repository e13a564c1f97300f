// The phases of a line, in the words every part uses in messages, manifests, tables and reports.
#pragma once

#include <boost/describe/enum.hpp>
#include <string_view>

namespace grl {

enum class Phase {
    request,     // numbered; may the job take a line now?
    prepare,     // bridges open files and check space while the job runs
    precopy,     // of a move: the guest's memory goes to the other host while the job runs
    drain,       // gates shut; ranks fall silent and prove it
    silence,     // proven; guests are being stopped
    capture,     // stopped; their state is being cut
    hold,        // stopped, until the operator lets them go
    switchover,  // of a move: stopped here, what is left goes over, on there
    release,     // captured; guests run, gates open
    commit,      // images become durable; the manifest is written
    done,        // committed: the line exists
    aborted,     // undone: the job lost nothing but the time
};
BOOST_DESCRIBE_ENUM(Phase, request, prepare, precopy, drain, silence, capture, hold, switchover,
                    release, commit, done, aborted)

// How a guest was captured.
enum class CaptureMethod {
    none,
    background,  // write-protected, runs on while its memory flows out
    live,        // ran while its memory flowed out, stood still for what it had written meanwhile
    stop_copy,   // stood still until its memory was out
};
BOOST_DESCRIBE_ENUM(CaptureMethod, none, background, live, stop_copy)

// What may be asked for: the first that the VMM can, or one of them.
inline bool is_capture(std::string_view word) {
    return word == "auto" || word == "background" || word == "live" || word == "stop_copy";
}

// A guest's state as its bridge sees it.
enum class GuestState {
    absent,    // defined here, not on this host
    starting,  // its VMM runs; it does not execute yet
    running,
    paused,    // restored or stopped; holds its state
    arriving,  // of a move: its state is on its way here
    arrived,   // all of it is here; it may run only by the coordinator's word
    moved,     // stopped here, all of it was sent; likewise
    lost,      // its VMM died or crashed under it
};
BOOST_DESCRIBE_ENUM(GuestState, absent, starting, running, paused, arriving, arrived, moved, lost)

}  // namespace grl
