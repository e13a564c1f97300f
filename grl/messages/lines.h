// A line as coordinator and bridges speak of it, from prepare to commit.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/base/json.h"
#include "grl/messages/phase.h"

namespace grl {

struct LineId {
    std::uint32_t job = 0;
    std::uint32_t line = 0;
};
BOOST_DESCRIBE_STRUCT(LineId, (), (job, line))

// In place of a capture method: the guests are only stopped and let go (a hold).
inline constexpr const char* kNoCapture = "none";

// The middle of a line, coordinator → each bridge that has guests of the job. All idempotent; each
// reply comes when the act is complete. After any failure the coordinator sends AbortLine.
struct PrepareLine {
    static constexpr const char* kType = "prepare_line";
    LineId id;
    std::vector<std::string> guests;  // of this host
    std::string capture;              // auto, background, live, stop_copy; none: kNoCapture
    std::optional<std::string> store = {};  // as in stored.h
};
BOOST_DESCRIBE_STRUCT(PrepareLine, (), (id, guests, capture, store))

struct PreparedLine {
    static constexpr const char* kType = "prepared_line";
    bool copies = false;  // some guest is captured live: CopyLine comes before FreezeLine
};
BOOST_DESCRIBE_STRUCT(PreparedLine, (), (copies))

// Let the memory of guests that are captured live flow out. Done when nearly all has, and the rest
// is held back; a guest that the VMM stops all the same, as it had so little left, is let run again
// and captured by stop_copy.
struct CopyLine {
    static constexpr const char* kType = "copy_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(CopyLine, (), (id))

struct FreezeLine {  // stop the guests of this host; replies FrozenLine
    static constexpr const char* kType = "freeze_line";
    LineId id;
    std::optional<std::uint32_t> hold_s;  // how long a hold may last
    // How long a line may keep them still by the coordinator's deadlines; a bridge that hears
    // nothing for so long and some more lets them go.
    std::optional<std::uint32_t> still_s = {};
};
BOOST_DESCRIBE_STRUCT(FreezeLine, (), (id, hold_s, still_s))

struct GuestFrozen {
    std::string guest;
    std::int64_t stopped_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(GuestFrozen, (), (guest, stopped_at_ns))

struct FrozenLine {
    static constexpr const char* kType = "frozen_line";
    std::vector<GuestFrozen> guests;
};
BOOST_DESCRIBE_STRUCT(FrozenLine, (), (guests))

// Cut the stopped guests. Replies CapturedLine when the state of each can no longer change. A guest
// that was captured in the background runs again by then; the others stay stopped until ResumeLine.
struct CaptureLine {
    static constexpr const char* kType = "capture_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(CaptureLine, (), (id))

struct GuestCaptured {
    std::string guest;
    CaptureMethod method = CaptureMethod::none;
    std::int64_t captured_at_ns = 0;
    std::string note;  // why not the method that was asked for; empty otherwise
};
BOOST_DESCRIBE_STRUCT(GuestCaptured, (), (guest, method, captured_at_ns, note))

struct CapturedLine {
    static constexpr const char* kType = "captured_line";
    std::vector<GuestCaptured> guests;
};
BOOST_DESCRIBE_STRUCT(CapturedLine, (), (guests))

struct ResumeLine {  // let all guests of the line on this host run; Done when they do
    static constexpr const char* kType = "resume_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(ResumeLine, (), (id))

struct LineProgress {  // bridge → coordinator, a few a second and guest while bytes flow
    static constexpr const char* kType = "line_progress";
    LineId id;
    std::string guest;
    std::uint64_t raw_bytes = 0;     // out of the VMM
    std::uint64_t stored_bytes = 0;  // onto storage
};
BOOST_DESCRIBE_STRUCT(LineProgress, (), (id, guest, raw_bytes, stored_bytes))

struct GuestDurable {  // bridge → coordinator: image synced, checksum file beside it synced
    static constexpr const char* kType = "guest_durable";
    LineId id;
    std::string guest;
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
    std::string digest;  // XXH3-128 of the stored bytes, 32 hexadecimal digits
    std::int64_t durable_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(GuestDurable, (), (id, guest, raw_bytes, stored_bytes, digest, durable_at_ns))

struct GuestFailed {  // bridge → coordinator: the image of this guest cannot be had
    static constexpr const char* kType = "guest_failed";
    LineId id;
    std::string guest;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(GuestFailed, (), (id, guest, reason))

struct AbortLine {  // cancel what runs, let the guests run, remove this host's part; then Done
    static constexpr const char* kType = "abort_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(AbortLine, (), (id))

// Written by one bridge, as hosts alone see the checkpoint directory: checks that every image the
// manifest names is there with its size, writes, syncs, renames. Done when the line is committed.
struct CommitLine {
    static constexpr const char* kType = "commit_line";
    LineId id;
    json::object manifest;  // grl/manifest.h
    std::optional<std::string> store = {};
};
BOOST_DESCRIBE_STRUCT(CommitLine, (), (id, manifest, store))

}  // namespace grl
