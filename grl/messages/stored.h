// Lines that stand in the checkpoint directory: list, verify, restore, delete, sweep.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/base/json.h"
#include "grl/messages/lines.h"

namespace grl {

struct ListLines {  // coordinator → bridge: the committed lines in the directory; replies LineList
    static constexpr const char* kType = "list_lines";
    std::uint32_t after_job = 0;  // pages: lines of jobs above this; a page holds whole jobs
    std::optional<std::string> store = {};
};
BOOST_DESCRIBE_STRUCT(ListLines, (), (after_job, store))

// `store` in what follows, and in PrepareLine and CommitLine, is the id of the checkpoint directory
// that is meant: a bridge that sees another or none there says so and touches nothing. Empty: any.

// What a host has noted beside the images: guests of which something is, or is about to be, there.
// A coordinator that has lost its catalog knows by it whom to fence.
struct HostRecord {
    std::string host;
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(HostRecord, (), (host, guests))

struct LineList {
    static constexpr const char* kType = "line_list";
    std::vector<json::object> manifests;
    std::vector<std::string> unreadable;  // one line each: path and reason
    bool more = false;
    std::vector<HostRecord> hosts;  // on the first page
    std::vector<LineId> there;      // lines whose manifest is there and cannot be read
};
BOOST_DESCRIBE_STRUCT(LineList, (), (manifests, unreadable, more, hosts, there))

struct VerifyLine {  // read every byte; replies VerifiedLine
    static constexpr const char* kType = "verify_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(VerifyLine, (), (id))

struct GuestVerified {
    std::string guest;
    bool good = false;
    std::string reason;  // where not good
    std::uint64_t stored_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(GuestVerified, (), (guest, good, reason, stored_bytes))

struct VerifiedLine {
    static constexpr const char* kType = "verified_line";
    std::vector<GuestVerified> guests;
};
BOOST_DESCRIBE_STRUCT(VerifiedLine, (), (guests))

// Whether guests of a committed line could be restored here, before anything is destroyed for it:
// every byte of their images is read, their definitions are compared, and there must be room when
// the guests in `leaving` are gone. Changes nothing. What is wrong with the line is in the reply;
// what is wrong with the host is an error.
struct CheckRestore {  // replies VerifiedLine
    static constexpr const char* kType = "check_restore";
    LineId id;
    std::vector<std::string> guests;
    std::vector<std::string> leaving;
};
BOOST_DESCRIBE_STRUCT(CheckRestore, (), (id, guests, leaving))

struct DeleteLine {  // manifest first, then the images; Done, also when it was not there
    static constexpr const char* kType = "delete_line";
    LineId id;
    std::optional<std::string> store = {};
};
BOOST_DESCRIBE_STRUCT(DeleteLine, (), (id, store))

// Remove directories of lines without a manifest, but not those in `active`. Done.
struct SweepLines {
    static constexpr const char* kType = "sweep_lines";
    std::vector<LineId> active;
    std::optional<std::string> store = {};
};
BOOST_DESCRIBE_STRUCT(SweepLines, (), (active, store))

// Restore guests of a committed line here, paused. Sizes and digests are verified first. Replies
// RestoredGuests when all of them are loaded; on failure none of them is left.
struct RestoreGuests {
    static constexpr const char* kType = "restore_guests";
    LineId id;
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(RestoreGuests, (), (id, guests))

struct GuestRestored {
    std::string guest;
    std::uint64_t stored_bytes = 0;
    std::int64_t verified_ms = 0;  // how long the check took
    std::int64_t loaded_ms = 0;    // how long the load took
};
BOOST_DESCRIBE_STRUCT(GuestRestored, (), (guest, stored_bytes, verified_ms, loaded_ms))

struct RestoredGuests {
    static constexpr const char* kType = "restored_guests";
    std::vector<GuestRestored> guests;
};
BOOST_DESCRIBE_STRUCT(RestoredGuests, (), (guests))

}  // namespace grl
