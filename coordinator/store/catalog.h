// The catalog of lines: one SQLite file. What stands in it of committed lines can be had again from
// their manifests, which are the truth; so a file that is torn is put aside and a new one is filled
// by reconcile(). Numbers of lines and generations are in it too, and only ever rise.
//
// Blocking (each write is synced: some milliseconds); one thread at a time. One process: the file
// is locked while it is open. After a failed call the file is as before it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/store/sqlite.h"
#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

struct LastLine {
    std::uint32_t line = 0;
    std::int64_t at_ns = 0;
    std::uint32_t uid = 0;
};

class Catalog {
  public:
    // Makes the file and its tables if need be. A file that is no database or is torn is renamed to
    // PATH.torn-TIME and said in the log. ErrorKind::refused if another process has it.
    static Result<std::unique_ptr<Catalog>> open(const std::string& path);

    // The job's next line number; never given twice.
    Result<std::uint32_t> take_line(std::uint32_t job);
    Result<std::uint32_t> generation(std::uint32_t job);
    // One more than the file's and than `known` (what masters or a manifest say); on disk on
    // return.
    // `line` is what it goes back to: what was taken after it is of the time-line that is left.
    Result<std::uint32_t> raise_generation(std::uint32_t job, std::uint32_t known,
                                           std::uint32_t line = 0);

    Result<void> put_committed(const Manifest& manifest, const LineReport& report);
    Result<void> put_aborted(const LineReport& report);  // the newest kAbortedKept of a job stay
    Result<void> remove_line(LineId id);

    Result<Manifest> manifest(LineId id);  // ErrorKind::not_found
    Result<LineReport> report(LineId id);
    // Of the job's time-line. ErrorKind::not_found
    Result<Manifest> last_committed(std::uint32_t job);
    // The committed lines of its time-line, upward: a job that has gone back goes on from there.
    Result<std::vector<std::uint32_t>> time_line(std::uint32_t job);
    Result<Manifest> last_committed_before(LineId id);  // likewise
    Result<std::vector<std::uint32_t>> committed(std::uint32_t job);  // upward
    Result<std::map<std::uint32_t, LastLine>> last_lines();           // of every job
    // Committed and aborted ones, by job and line.
    // As many as fit into `bytes` of JSON, at least one.
    struct Page {
        std::vector<LineReport> reports;
        bool more = false;
    };
    Result<Page> reports(std::optional<std::uint32_t> job, LineId after, std::size_t bytes);
    Result<std::vector<LineReport>> reports(std::optional<std::uint32_t> job);

    // Makes the committed lines those of `manifests`: adds what is missing, drops what is gone.
    struct Reconciled {
        std::vector<LineId> added;
        std::vector<LineId> dropped;
    };
    // Those in `there` stay, too: their manifests could only not be read.
    Result<Reconciled> reconcile(const std::vector<Manifest>& manifests,
                                 const std::vector<LineId>& there = {});

    // The id of the checkpoint directory that the lines are in; empty: not known yet.
    Result<std::string> store();
    Result<void> put_store(const std::string& id);

    // Where guests were last seen to run: a host that is lost must be fenced before a restore.
    Result<void> put_place(const std::string& guest, const std::string& host);
    Result<std::map<std::string, std::string>> places();
    // A host's own word: these guests it has, and those it had are gone from it. Whatever else was
    // feared of it is over.
    Result<void> heard(const std::string& host, const std::set<std::string>& has,
                       const std::set<std::string>& came);
    // It is off, and nothing runs there.
    Result<void> put_fenced(const std::string& host);
    Result<std::vector<std::string>> fenced();
    // Hosts on which a guest may run, as far as the catalog knows: its place, unless the host has
    // said since that it is gone; and what the checkpoint directory told a new catalog.
    Result<std::map<std::string, std::set<std::string>>> suspects();

    // A new file knows no places: what hosts noted beside the images takes their part, and where
    // nobody noted a guest, the hosts of its last lines. To be told once, by learn_places().
    Result<bool> knows_places();
    Result<void> learn_places(const std::vector<HostRecord>& records,
                              const std::vector<Manifest>& manifests);

    // Moves of guests count by themselves; the last `keep` reports stay.
    Result<std::uint32_t> take_move() { return take_line(0); }
    Result<void> put_move(const MoveReport& report, std::uint32_t keep);
    Result<std::vector<MoveReport>> moves(std::uint32_t count);  // the last so many; 0: all

    // Hosts to which no guest moves.
    Result<void> put_closed(const std::string& host, bool closed);
    Result<std::vector<std::string>> closed();

  private:
    static constexpr int kAbortedKept = 16;
    explicit Catalog(std::unique_ptr<Database> db) : db_(std::move(db)) {}
    Result<void> prepare();
    Result<std::string> text_of(LineId id, const char* column);
    Result<void> put(const LineReport& report, std::uint32_t uid, const std::string& manifest);
    Result<void> know(std::uint32_t job, std::uint32_t line, std::uint32_t generation);

    std::unique_ptr<Database> db_;
};

// What a line's report was, as far as its manifest tells.
LineReport report_of(const Manifest& manifest);

}  // namespace grl::coordinator
