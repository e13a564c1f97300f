// The messages between the parts: bridge, master and grlctl on one side, the coordinator on the
// other. docs/protocol.md tells who sends what when. A struct is a message's body; its kType is its
// name on the wire. Times are nanoseconds of CLOCK_REALTIME unless a field says milliseconds; sizes
// are bytes unless it says MiB.
//
// Envelope of a frame:  {"type": T, "id": N, "body": {…}}   id only where a reply is wanted
//                       {"type": "reply", "id": N, "body": {…}}
//                       {"type": "error", "id": N, "body": {kind, what, where, why}}
//                       {"type": "progress", "id": N, "body": {…}}   any number, before the reply
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grl/json.h"
#include "grl/phase.h"

namespace grl {

inline constexpr int kProtocolVersion = 2;

// ---- opening a connection (grl/handshake.h) ----

struct Challenge {  // server → client
    static constexpr const char* kType = "challenge";
    int version = kProtocolVersion;
    std::string nonce;
};
BOOST_DESCRIBE_STRUCT(Challenge, (), (version, nonce))

struct Hello {  // client → server
    static constexpr const char* kType = "hello";
    int version = kProtocolVersion;
    std::string role;   // bridge, master, ctl, check
    std::string name;   // host, node or user
    std::string nonce;  // the client's
    std::string credential;
};
BOOST_DESCRIBE_STRUCT(Hello, (), (version, role, name, nonce, credential))

struct Welcome {  // server → client
    static constexpr const char* kType = "welcome";
    std::string credential;
};
BOOST_DESCRIBE_STRUCT(Welcome, (), (credential))

struct Done {  // the reply that says only: done
    static constexpr const char* kType = "done";
};
BOOST_DESCRIBE_STRUCT(Done, (), ())

// ---- bridge ↔ coordinator ----

struct GuestInfo {
    std::string name;
    GuestState state = GuestState::absent;
    std::string address;  // on the cluster network
    std::uint64_t memory_mib = 0;
    std::string definition_digest;  // XXH3-128 of the definition; equal on hosts that may swap it
    std::uint32_t adapters = 0;     // how many it wants of its host's
};
BOOST_DESCRIBE_STRUCT(GuestInfo, (),
                      (name, state, address, memory_mib, definition_digest, adapters))

struct Inventory {  // bridge → coordinator: on connecting, and again when it changes
    static constexpr const char* kType = "inventory";
    std::string host;
    std::string driver;                 // qemu, xen
    std::string vmm_version;            // "QEMU 7.2.22"
    std::uint64_t memory_mib = 0;       // what guests may take here
    std::uint64_t memory_free_mib = 0;  // of it, not taken
    std::vector<GuestInfo> guests;
    std::uint32_t adapters_free = 0;  // to be passed through, not taken
};
BOOST_DESCRIBE_STRUCT(Inventory, (),
                      (host, driver, vmm_version, memory_mib, memory_free_mib, guests,
                       adapters_free))

struct GuestDied {  // bridge → coordinator, at once
    static constexpr const char* kType = "guest_died";
    std::string guest;
    std::string reason;
};
BOOST_DESCRIBE_STRUCT(GuestDied, (), (guest, reason))

struct StartGuest {  // coordinator → bridge; replies Done when the VMM runs it
    static constexpr const char* kType = "start_guest";
    std::string guest;
};
BOOST_DESCRIBE_STRUCT(StartGuest, (), (guest))

struct DestroyGuests {  // coordinator → bridge; Done when none of them is left; absent ones are
                        // fine
    static constexpr const char* kType = "destroy_guests";
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(DestroyGuests, (), (guests))

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
};
BOOST_DESCRIBE_STRUCT(PrepareLine, (), (id, guests, capture))

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
};
BOOST_DESCRIBE_STRUCT(FreezeLine, (), (id, hold_s))

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
};
BOOST_DESCRIBE_STRUCT(CommitLine, (), (id, manifest))

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

struct ResumeGuests {  // let restored guests run; Done when they do
    static constexpr const char* kType = "resume_guests";
    std::vector<std::string> guests;
};
BOOST_DESCRIBE_STRUCT(ResumeGuests, (), (guests))

// One guest's move to another host. Its state goes from bridge to bridge; who of the two may let it
// run is the coordinator's word alone. All idempotent; after a failure comes DropMove.
struct ReceiveGuest {  // coordinator → the target's bridge; replies Receiving when it listens
    static constexpr const char* kType = "receive_guest";
    std::uint32_t move = 0;
    std::string guest;
    std::string token;  // by which the stream is known; valid_name(), for this move only
    bool encrypted = false;  // another stream is refused
};
BOOST_DESCRIBE_STRUCT(ReceiveGuest, (), (move, guest, token, encrypted))

struct Receiving {
    static constexpr const char* kType = "receiving";
    std::string address;  // HOST:PORT, where the stream is awaited
};
BOOST_DESCRIBE_STRUCT(Receiving, (), (address))

// coordinator → the source's bridge: send its memory while it runs, and hold the rest back. Replies
// Precopied when no more than what the guest has written since is left.
struct SendGuest {
    static constexpr const char* kType = "send_guest";
    std::uint32_t move = 0;
    std::string guest;
    std::string token;
    std::string address;
    std::uint32_t limit_mib_s = 0;  // 0: as fast as it goes
    bool encrypted = false;
};
BOOST_DESCRIBE_STRUCT(SendGuest, (), (move, guest, token, address, limit_mib_s, encrypted))

struct Precopied {
    static constexpr const char* kType = "precopied";
    bool stopped = false;  // the VMM was quicker: the guest stands still, and all of it is sent
    std::uint64_t sent_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(Precopied, (), (stopped, sent_bytes))

// coordinator → the source's bridge: stop it and send the rest. Replies Switched when all is sent.
struct SwitchGuest {
    static constexpr const char* kType = "switch_guest";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(SwitchGuest, (), (move))

struct Switched {
    static constexpr const char* kType = "switched";
    std::int64_t stopped_at_ns = 0;
    std::uint64_t sent_bytes = 0;
};
BOOST_DESCRIBE_STRUCT(Switched, (), (stopped_at_ns, sent_bytes))

struct AwaitGuest {  // coordinator → the target's bridge; Done when all of it has arrived
    static constexpr const char* kType = "await_guest";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(AwaitGuest, (), (move))

// coordinator → both: the guest stays where it was. The source lets it run, the target destroys
// what has arrived; Done. Never after the target was told to let it run.
struct DropMove {
    static constexpr const char* kType = "drop_move";
    std::uint32_t move = 0;
};
BOOST_DESCRIBE_STRUCT(DropMove, (), (move))

struct MoveProgress {  // the source's bridge → coordinator, a few a second
    static constexpr const char* kType = "move_progress";
    std::uint32_t move = 0;
    std::uint64_t sent_bytes = 0;
    std::uint64_t left_bytes = 0;     // as far as the VMM knows
    std::uint64_t dirty_bytes_s = 0;  // how fast the guest writes
    std::uint32_t passes = 0;         // over its memory
    bool stopped = false;             // the VMM has stopped it by itself; told once
};
BOOST_DESCRIBE_STRUCT(MoveProgress, (),
                      (move, sent_bytes, left_bytes, dirty_bytes_s, passes, stopped))

struct ListLines {  // coordinator → bridge: the committed lines in the directory; replies LineList
    static constexpr const char* kType = "list_lines";
    std::uint32_t after_job = 0;  // pages: lines of jobs above this; a page holds whole jobs
};
BOOST_DESCRIBE_STRUCT(ListLines, (), (after_job))

struct LineList {
    static constexpr const char* kType = "line_list";
    std::vector<json::object> manifests;
    std::vector<std::string> unreadable;  // one line each: path and reason
    bool more = false;
};
BOOST_DESCRIBE_STRUCT(LineList, (), (manifests, unreadable, more))

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

struct DeleteLine {  // manifest first, then the images; Done, also when it was not there
    static constexpr const char* kType = "delete_line";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(DeleteLine, (), (id))

// Remove directories of lines without a manifest, but not those in `active`. Done.
struct SweepLines {
    static constexpr const char* kType = "sweep_lines";
    std::vector<LineId> active;
};
BOOST_DESCRIBE_STRUCT(SweepLines, (), (active))

// ---- master ↔ coordinator ----

// master → coordinator: on connecting, and again whenever something in it changes.
struct StepState {
    static constexpr const char* kType = "step_state";
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::string node;
    std::uint32_t nodes = 0;        // of the step
    std::uint32_t local_ranks = 0;  // of the step on this node
    std::uint32_t ranks = 0;        // of the step
    std::uint32_t uid = 0;          // the job's user
    std::uint32_t every_s = 0;      // seconds between lines; 0: on demand only
    std::uint32_t joined = 0;       // ranks of this node whose agents run
    std::uint32_t leaving = 0;      // ranks of this node that finalise or have finalised
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;  // the last the master knows
    std::uint32_t line = 0;     // the line of that attempt
    bool closed = true;         // that attempt is over
    bool forked = false;        // tasks of this node wait for the other nodes'
};
BOOST_DESCRIBE_STRUCT(StepState, (),
                      (job, step, node, nodes, local_ranks, ranks, uid, every_s, joined, leaving,
                       generation, attempt, line, closed, forked))

// coordinator → master: all nodes of the step have forked their tasks, which may go on.
struct Start {
    static constexpr const char* kType = "start";
};
BOOST_DESCRIBE_STRUCT(Start, (), ())

struct Drain {  // coordinator → master; replies Silent when this node is silent, or an error
    static constexpr const char* kType = "drain";
    std::uint32_t line = 0;
    std::uint32_t attempt = 0;      // counts from 1 in each step, on all its nodes alike
    std::uint32_t limit_ms = 0;     // past it the master aborts by itself
    std::uint32_t failsafe_ms = 0;  // silent for so long without a word: the master opens the gates
};
BOOST_DESCRIBE_STRUCT(Drain, (), (line, attempt, limit_ms, failsafe_ms))

struct Proof {
    std::uint32_t ranks = 0;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;
};
BOOST_DESCRIBE_STRUCT(Proof, (), (ranks, issued, completed, deferred))

struct Silent {
    static constexpr const char* kType = "silent";
    std::uint32_t attempt = 0;
    Proof proof;  // all ranks of the step were quiet; the counters are of this node's ranks
    std::int64_t shut_at_ns = 0;
    std::int64_t silent_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(Silent, (), (attempt, proof, shut_at_ns, silent_at_ns))

struct Release {  // coordinator → master: open the gates; Done
    static constexpr const char* kType = "release";
    std::uint32_t line = 0;
    std::uint32_t attempt = 0;
    std::uint32_t generation = 0;
    bool aborted = false;
    std::int64_t now_ns = 0;  // the coordinator's clock: a guest that is behind is stepped
};
BOOST_DESCRIBE_STRUCT(Release, (), (line, attempt, generation, aborted, now_ns))

// master → coordinator: every second; ten a second while silent, as a restored master finds by it
// that its connection is of another life. coordinator → bridge, as a request: are you there? (Done,
// or any other answer.) coordinator → grlctl, as progress every second: the request is being worked
// on.
struct Heartbeat {
    static constexpr const char* kType = "heartbeat";
};
BOOST_DESCRIBE_STRUCT(Heartbeat, (), ())

// ---- check: spank_grl.so asks whether a step may be protected; replies Done or an error ----

struct CheckStep {
    static constexpr const char* kType = "check_step";
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::vector<std::string> nodes;
};
BOOST_DESCRIBE_STRUCT(CheckStep, (), (job, step, nodes))

// ---- grlctl → coordinator ----

struct StatusQuery {  // replies StatusReport
    static constexpr const char* kType = "status";
};
BOOST_DESCRIBE_STRUCT(StatusQuery, (), ())

struct CheckpointJob {  // progress LineReport …, then replies LineReport when committed
    static constexpr const char* kType = "checkpoint";
    std::uint32_t job = 0;
    bool rehearsal = false;  // to silence and on: nothing is captured, no line is kept
};
BOOST_DESCRIBE_STRUCT(CheckpointJob, (), (job, rehearsal))

struct HoldJob {  // progress LineReport …, then replies HeldJob when the guests stand still
    static constexpr const char* kType = "hold";
    std::uint32_t job = 0;
    std::uint32_t limit_s = 0;  // then they go on by themselves; 0: as long as Slurm allows
    bool checkpoint = false;    // a line is committed first, with the guests standing still
};
BOOST_DESCRIBE_STRUCT(HoldJob, (), (job, limit_s, checkpoint))

struct LetGoJob {  // ends a hold; replies LineReport when the job goes on
    static constexpr const char* kType = "let_go";
    std::uint32_t job = 0;
};
BOOST_DESCRIBE_STRUCT(LetGoJob, (), (job))

// A guest's move: progress MoveReport …, then replies MoveReport when it runs there. Root's.
struct MoveQuery {
    static constexpr const char* kType = "migrate";
    std::string guest;
    std::string host;  // empty: the coordinator chooses
};
BOOST_DESCRIBE_STRUCT(MoveQuery, (), (guest, host))

// All guests of a host: progress MoveReport …, then replies MoveReports. Root's. The host gets no
// guest until ReopenQuery.
struct EvacuateQuery {
    static constexpr const char* kType = "evacuate";
    std::string host;
};
BOOST_DESCRIBE_STRUCT(EvacuateQuery, (), (host))

struct ReopenQuery {  // guests may come to the host again; replies Done
    static constexpr const char* kType = "reopen";
    std::string host;
};
BOOST_DESCRIBE_STRUCT(ReopenQuery, (), (host))

struct HistoryQuery {  // replies MoveReports, the latest last
    static constexpr const char* kType = "history";
    std::uint32_t count = 0;  // at most so many; 0: all that are kept
};
BOOST_DESCRIBE_STRUCT(HistoryQuery, (), (count))

struct ListQuery {  // replies LineReports
    static constexpr const char* kType = "list";
    std::optional<std::uint32_t> job;
};
BOOST_DESCRIBE_STRUCT(ListQuery, (), (job))

struct ShowQuery {  // replies ShownLine
    static constexpr const char* kType = "show";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(ShowQuery, (), (id))

struct RestoreJob {  // progress RestoreReport …, then replies RestoreReport
    static constexpr const char* kType = "restore";
    std::uint32_t job = 0;
    std::optional<std::uint32_t> line;  // the last committed one if not given
};
BOOST_DESCRIBE_STRUCT(RestoreJob, (), (job, line))

struct VerifyQuery {  // replies VerifiedLine
    static constexpr const char* kType = "verify";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(VerifyQuery, (), (id))

struct DeleteQuery {  // replies Done
    static constexpr const char* kType = "delete";
    LineId id;
};
BOOST_DESCRIBE_STRUCT(DeleteQuery, (), (id))

struct StartQuery {  // root's; replies Done
    static constexpr const char* kType = "start";
    std::string guest;
    std::string host;
};
BOOST_DESCRIBE_STRUCT(StartQuery, (), (guest, host))

struct StopQuery {  // root's; replies Done
    static constexpr const char* kType = "stop";
    std::string guest;
    std::string host = {};  // there only; empty: wherever it is, if it lives on one host at most
};
BOOST_DESCRIBE_STRUCT(StopQuery, (), (guest, host))

// Reports, as grlctl shows them and prints them with --json.
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
};
BOOST_DESCRIBE_STRUCT(LineReports, (), (lines))

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
    std::string stage;             // wait, check, fence, destroy, place, restore, raise, resume,
                                   // rejoin, done; clean, failed
    std::vector<GuestReport> guests;
    std::vector<std::string> stages;  // of those that ended
    std::vector<double> stage_ms;
    double total_ms = 0;
    std::string reason;  // of a failure
};
BOOST_DESCRIBE_STRUCT(RestoreReport, (),
                      (job, line, generation, stage, guests, stages, stage_ms, total_ms, reason))

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
};
BOOST_DESCRIBE_STRUCT(HostReport, (),
                      (host, connected, driver, vmm_version, memory_mib, memory_free_mib, guests,
                       adapters_free))

struct StatusReport {
    static constexpr const char* kType = "status_report";
    std::string cluster;
    std::string version;
    std::vector<HostReport> hosts;
    std::vector<JobReport> jobs;
};
BOOST_DESCRIBE_STRUCT(StatusReport, (), (cluster, version, hosts, jobs))

}  // namespace grl
