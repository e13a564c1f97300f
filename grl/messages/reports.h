// Reports, as grlctl shows them and prints them with --json.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/base/json.h"
#include "grl/messages/guests.h"
#include "grl/messages/masters.h"
#include "grl/messages/phase.h"

namespace grl {

struct PhaseTime {
    Phase phase = Phase::request;
    std::int64_t began_ns = 0;
    double ms = 0;
};
BOOST_DESCRIBE_STRUCT(PhaseTime, (), (phase, began_ns, ms))

struct GuestReport {
    std::string guest;
    std::string host;
    CaptureMethod method = CaptureMethod::none;
    std::uint64_t raw_bytes = 0;
    std::uint64_t stored_bytes = 0;
    double paused_ms = 0;  // from its stop to its going on
    bool durable = false;
    std::string note;
};
BOOST_DESCRIBE_STRUCT(GuestReport, (),
                      (guest, host, method, raw_bytes, stored_bytes, paused_ms, durable, note))

struct LineReport {
    static constexpr const char* kType = "line_report";
    std::uint32_t job = 0;
    std::uint32_t line = 0;
    std::uint32_t generation = 0;
    Phase phase = Phase::request;
    std::int64_t requested_at_ns = 0;
    double drain_ms = 0;    // masters told to drain, to the proof of silence
    double silence_ms = 0;  // of these, gates shut to the proof, on the slowest node
    double pause_ms = 0;    // silence to release: the job stands still
    double commit_ms = 0;   // release to the manifest
    std::vector<PhaseTime> phases;
    std::vector<GuestReport> guests;
    Proof proof;
    std::string reason;  // of an abort
};
BOOST_DESCRIBE_STRUCT(LineReport, (),
                      (job, line, generation, phase, requested_at_ns, drain_ms, silence_ms,
                       pause_ms, commit_ms, phases, guests, proof, reason))

struct MoveReport {
    static constexpr const char* kType = "move_report";
    std::uint32_t move = 0;
    std::string guest;
    std::string from;
    std::string to;
    std::string cause;     // who asked: "grlctl", "evacuation of h2", "drain of g2"
    bool given = false;    // it may have been told to run there: it is not the source's any more
    bool open = true;      // not yet seen to be on one host alone
    bool drained = false;  // the job on it fell silent before; else it was moved without
    std::uint64_t sent_bytes = 0;
    std::uint64_t left_bytes = 0;
    std::uint64_t dirty_bytes_s = 0;
    std::uint32_t passes = 0;
    double downtime_ms = 0;  // told to stop, to the word that it runs there
    double total_ms = 0;
    std::string note;
    LineReport line;  // its phases, times and proof; its job is 0 where none is protected
};
BOOST_DESCRIBE_STRUCT(MoveReport, (),
                      (move, guest, from, to, cause, given, open, drained, sent_bytes, left_bytes,
                       dirty_bytes_s, passes, downtime_ms, total_ms, note, line))

struct MoveReports {
    static constexpr const char* kType = "move_reports";
    std::vector<MoveReport> moves;
};
BOOST_DESCRIBE_STRUCT(MoveReports, (), (moves))

struct HeldJob {
    static constexpr const char* kType = "held";
    LineReport report;
    std::uint32_t limit_s = 0;
    std::uint32_t slurmd_timeout_s = 0;  // after so long Slurm gives the nodes up; 0: never
};
BOOST_DESCRIBE_STRUCT(HeldJob, (), (report, limit_s, slurmd_timeout_s))

struct LineReports {
    static constexpr const char* kType = "line_reports";
    std::vector<LineReport> lines;
    std::optional<bool> more = {};  // ask again, after the last of these
};
BOOST_DESCRIBE_STRUCT(LineReports, (), (lines, more))

struct ShownLine {
    static constexpr const char* kType = "shown_line";
    json::object manifest;  // empty: the line was aborted
    LineReport report;
};
BOOST_DESCRIBE_STRUCT(ShownLine, (), (manifest, report))

struct RestoreReport {
    static constexpr const char* kType = "restore_report";
    std::uint32_t job = 0;
    std::uint32_t line = 0;
    std::uint32_t generation = 0;  // after the restore
    std::string stage;             // wait, check, look, place, verify, fence, raise, destroy,
                                   // restore, resume, rejoin, done; clean, failed
    std::vector<GuestReport> guests;
    std::vector<std::string> stages;  // of those that ended
    std::vector<double> stage_ms;
    double total_ms = 0;
    std::string reason;  // of a failure
    // What its user should know: newer lines that were passed over, and why. A line each.
    std::vector<std::string> notes;
};
BOOST_DESCRIBE_STRUCT(RestoreReport, (),
                      (job, line, generation, stage, guests, stages, stage_ms, total_ms, reason,
                       notes))

struct JobReport {
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::uint32_t uid = 0;
    std::uint32_t generation = 0;
    std::uint32_t every_s = 0;
    std::string state;   // starting, ready, line, held, finalising, lost, restoring
    std::string reason;  // why it cannot take a line now
    std::vector<std::string> guests;
    std::uint32_t ranks = 0;
    std::uint32_t last_line = 0;  // the last committed; 0: none
    std::int64_t last_line_ns = 0;
};
BOOST_DESCRIBE_STRUCT(JobReport, (),
                      (job, step, uid, generation, every_s, state, reason, guests, ranks, last_line,
                       last_line_ns))

struct HostReport {
    std::string host;
    bool connected = false;
    std::string driver;
    std::string vmm_version;
    std::uint64_t memory_mib = 0;
    std::uint64_t memory_free_mib = 0;
    std::vector<GuestInfo> guests;  // those that are here
    std::uint32_t adapters_free = 0;
    std::string store_fault = {};  // why no line is kept from here; empty: nothing
};
BOOST_DESCRIBE_STRUCT(HostReport, (),
                      (host, connected, driver, vmm_version, memory_mib, memory_free_mib, guests,
                       adapters_free, store_fault))

struct StatusReport {
    static constexpr const char* kType = "status_report";
    std::string cluster;
    std::string version;
    std::vector<HostReport> hosts;
    std::vector<JobReport> jobs;
    std::string store = {};  // the checkpoint directory's id; empty: none has been seen yet
};
BOOST_DESCRIBE_STRUCT(StatusReport, (), (cluster, version, hosts, jobs, store))

}  // namespace grl
