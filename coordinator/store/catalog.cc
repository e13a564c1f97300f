#include "coordinator/store/catalog.h"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <set>

#include "coordinator/engine/clock.h"
#include "grl/base/file.h"
#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

namespace {

constexpr int kSchema = 1;

// manifest is empty for aborted lines.
constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS jobs(job INTEGER PRIMARY KEY, next_line INTEGER NOT NULL,
                                generation INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS lines(job INTEGER NOT NULL, line INTEGER NOT NULL,
                                 uid INTEGER NOT NULL, at_ns INTEGER NOT NULL,
                                 manifest TEXT NOT NULL, report TEXT NOT NULL,
                                 PRIMARY KEY(job, line));
CREATE TABLE IF NOT EXISTS places(guest TEXT PRIMARY KEY, host TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS bases(job INTEGER NOT NULL, generation INTEGER NOT NULL,
                                 line INTEGER NOT NULL, line_generation INTEGER NOT NULL,
                                 PRIMARY KEY(job, generation));
CREATE TABLE IF NOT EXISTS gone(guest TEXT PRIMARY KEY, host TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS doubts(guest TEXT NOT NULL, host TEXT NOT NULL,
                                  PRIMARY KEY(guest, host));
CREATE TABLE IF NOT EXISTS fenced_hosts(host TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS words(name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS closed_hosts(host TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS moves(move INTEGER PRIMARY KEY, open INTEGER NOT NULL,
                                 report TEXT NOT NULL);
)";

bool torn(int code) {
    return code == SQLITE_NOTADB || code == SQLITE_CORRUPT;
}

template <class T>
Result<T> read_text(const std::string& text, const char* subject) {
    boost::system::error_code ec;
    const json::value value = json::parse(text, ec);
    if (ec) return fail(std::string("reading ") + subject, "catalog", ec.message());
    return from_json<T>(value, subject);
}

// The journal goes with its database: replayed into a new file it would bring the damage along.
Result<void> put_aside(const std::string& path) {
    const std::string aside = path + ".torn-" + std::to_string(time(nullptr));
    if (rename(path.c_str(), aside.c_str()) != 0) {
        return fail("putting a torn catalog aside", path, errno_text(errno));
    }
    (void)rename((path + "-wal").c_str(), (aside + "-wal").c_str());
    (void)remove((path + "-shm").c_str());
    log_warning("the catalog " + path + " is torn: it now is " + aside +
                ", a new one is filled from the manifests");
    return {};
}

Error not_found(LineId id) {
    return fail("looking up line " + std::to_string(id.job) + "/" + std::to_string(id.line), "",
                "there is no such line", ErrorKind::not_found);
}

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::open(const std::string& path) {
    for (int attempt = 0;; ++attempt) {
        auto db = Database::open(path);
        if (!db) return db.error();
        std::unique_ptr<Catalog> catalog(new Catalog(std::move(*db)));
        Result<void> ready = catalog->prepare();
        if (ready) return catalog;
        const int code = catalog->db_->last_error();
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
            return fail("opening the catalog", path,
                        "another coordinator has it open: only one may run for a cluster",
                        ErrorKind::refused);
        }
        if (!torn(code) || attempt > 0) return ready.error();
        catalog.reset();
        if (auto aside = put_aside(path); !aside) return aside.error();
    }
}

Result<void> Catalog::prepare() {
    // The lock comes with the first write, and stays.
    for (const char* sql : {"PRAGMA locking_mode=EXCLUSIVE", "PRAGMA journal_mode=WAL",
                            "PRAGMA synchronous=FULL", "BEGIN EXCLUSIVE"}) {
        if (auto r = db_->run(sql); !r) return r;
    }
    Statement check(*db_, "PRAGMA quick_check(1)");
    const bool answered = check.row();
    if (!answered) return check.done();
    if (check.text(0) != "ok") return db_->error(SQLITE_CORRUPT);
    while (check.row()) {
    }
    Statement version(*db_, "PRAGMA user_version");
    if (!version.row()) return version.done();
    const auto schema = version.number(0);
    while (version.row()) {
    }
    if (schema > kSchema) {
        return fail("opening the catalog", "",
                    "it was written by a newer release: install that one, or put the file aside");
    }
    // Of a release before this one, too: it has had its places from the beginning.
    const bool is_new = schema == 0;
    if (auto r = db_->run(kTables); !r) return r;
    if (is_new) {
        auto r = db_->run("INSERT OR REPLACE INTO words VALUES('places', 'unknown')");
        if (!r) return r;
    }
    if (auto r = db_->run("PRAGMA user_version=" + std::to_string(kSchema)); !r) return r;
    return db_->run("COMMIT");
}

Result<std::uint32_t> Catalog::take_line(std::uint32_t job) {
    Statement s(*db_,
                "INSERT INTO jobs VALUES(?, 2, 0) ON CONFLICT(job) DO UPDATE SET "
                "next_line = next_line + 1 RETURNING next_line - 1");
    s.bind(job);
    if (!s.row()) return s.done().error();
    const auto line = static_cast<std::uint32_t>(s.number(0));
    while (s.row()) {
    }
    if (auto r = s.done(); !r) return r.error();
    return line;
}

Result<std::uint32_t> Catalog::generation(std::uint32_t job) {
    Statement s(*db_, "SELECT generation FROM jobs WHERE job = ?");
    s.bind(job);
    if (s.row()) return static_cast<std::uint32_t>(s.number(0));
    if (auto r = s.done(); !r) return r.error();
    return 0U;
}

Result<std::uint32_t> Catalog::raise_generation(std::uint32_t job, std::uint32_t known,
                                                std::uint32_t line) {
    auto now = generation(job);
    if (!now) return now;
    const std::uint32_t next = std::max(*now, known) + 1;
    Transaction all(*db_);
    if (!all.begun()) return all.begun().error();
    if (auto r = know(job, 0, next); !r) return r.error();
    if (line != 0) {
        auto of = manifest({job, line});
        if (!of) return of.error();
        auto r = Statement(*db_, "INSERT OR REPLACE INTO bases VALUES(?, ?, ?, ?)")
                     .bind(job)
                     .bind(next)
                     .bind(line)
                     .bind(of->generation)
                     .done();
        if (!r) return r.error();
    }
    if (auto r = all.commit(); !r) return r.error();
    return next;
}

// Raises what is known of a job to at least these.
Result<void> Catalog::know(std::uint32_t job, std::uint32_t line, std::uint32_t generation) {
    return Statement(*db_,
                     "INSERT INTO jobs VALUES(?, ?, ?) ON CONFLICT(job) DO UPDATE SET "
                     "next_line = max(next_line, excluded.next_line), "
                     "generation = max(generation, excluded.generation)")
        .bind(job)
        .bind(line + 1)
        .bind(generation)
        .done();
}

Result<void> Catalog::put(const LineReport& report, std::uint32_t uid,
                          const std::string& manifest) {
    return Statement(*db_, "INSERT OR REPLACE INTO lines VALUES(?, ?, ?, ?, ?, ?)")
        .bind(report.job)
        .bind(report.line)
        .bind(uid)
        .bind(report.requested_at_ns)
        .bind(manifest)
        .bind(json::serialize(to_json(report)))
        .done();
}

Result<void> Catalog::put_committed(const Manifest& manifest, const LineReport& report) {
    Transaction all(*db_);
    if (!all.begun()) return all.begun();
    if (auto r = know(manifest.job, manifest.line, manifest.generation); !r) return r;
    if (auto r = put(report, manifest.uid, json::serialize(to_json(manifest))); !r) return r;
    return all.commit();
}

Result<void> Catalog::put_aborted(const LineReport& report) {
    Transaction all(*db_);
    if (!all.begun()) return all.begun();
    if (auto r = put(report, 0, ""); !r) return r;
    auto r = Statement(*db_,
                       "DELETE FROM lines WHERE job = ?1 AND manifest = '' AND line NOT IN "
                       "(SELECT line FROM lines WHERE job = ?1 AND manifest = '' "
                       "ORDER BY line DESC LIMIT ?2)")
                 .bind(report.job)
                 .bind(kAbortedKept)
                 .done();
    if (!r) return r;
    return all.commit();
}

Result<void> Catalog::remove_line(LineId id) {
    return Statement(*db_, "DELETE FROM lines WHERE job = ? AND line = ?")
        .bind(id.job)
        .bind(id.line)
        .done();
}

Result<std::string> Catalog::text_of(LineId id, const char* column) {
    Statement s(*db_, std::string("SELECT ") + column + " FROM lines WHERE job = ? AND line = ?");
    s.bind(id.job).bind(id.line);
    if (s.row()) return s.text(0);
    if (auto r = s.done(); !r) return r.error();
    return not_found(id);
}

Result<Manifest> Catalog::manifest(LineId id) {
    auto text = text_of(id, "manifest");
    if (!text) return text.error();
    if (text->empty()) {
        Error e = not_found(id);
        e.why = "that line was aborted";
        return e;
    }
    return read_text<Manifest>(*text, "a manifest");
}

Result<LineReport> Catalog::report(LineId id) {
    auto text = text_of(id, "report");
    if (!text) return text.error();
    return read_text<LineReport>(*text, "a line's report");
}

Result<Manifest> Catalog::last_committed(std::uint32_t job) {
    auto lines = time_line(job);
    if (!lines) return lines.error();
    if (lines->empty()) {
        return fail("looking up the last line of job " + std::to_string(job), "",
                    "the job has no committed line", ErrorKind::not_found);
    }
    return manifest({job, lines->back()});
}

Result<Manifest> Catalog::last_committed_before(LineId id) {
    auto lines = time_line(id.job);
    if (!lines) return lines.error();
    std::erase_if(*lines, [&](std::uint32_t line) { return line >= id.line; });
    if (lines->empty()) {
        return fail("looking up a line of job " + std::to_string(id.job), "",
                    "no line before " + std::to_string(id.line) + " is committed",
                    ErrorKind::not_found);
    }
    return manifest({id.job, lines->back()});
}

Result<std::vector<std::uint32_t>> Catalog::committed(std::uint32_t job) {
    Statement s(*db_, "SELECT line FROM lines WHERE job = ? AND manifest <> '' ORDER BY line");
    s.bind(job);
    std::vector<std::uint32_t> lines;
    while (s.row()) lines.push_back(static_cast<std::uint32_t>(s.number(0)));
    if (auto r = s.done(); !r) return r.error();
    return lines;
}

// From the job's generation back: its lines, then those of the generation of the line that it went
// back to, up to that line, and so on. Where that is not known (a new catalog) all older ones.
Result<std::vector<std::uint32_t>> Catalog::time_line(std::uint32_t job) {
    auto now = generation(job);
    if (!now) return now.error();
    struct Base {
        std::uint32_t line, generation;
    };
    std::map<std::uint32_t, Base> bases;
    {
        Statement s(*db_, "SELECT generation, line, line_generation FROM bases WHERE job = ?");
        s.bind(job);
        while (s.row()) {
            bases[static_cast<std::uint32_t>(s.number(0))] = {
                static_cast<std::uint32_t>(s.number(1)), static_cast<std::uint32_t>(s.number(2))};
        }
        if (auto r = s.done(); !r) return r.error();
    }
    Statement s(*db_,
                "SELECT line, json_extract(manifest, '$.generation') FROM lines "
                "WHERE job = ? AND manifest <> '' ORDER BY line DESC");
    s.bind(job);
    std::vector<std::uint32_t> lines;
    std::uint32_t generation = *now, newest = UINT32_MAX;
    while (s.row()) {
        const auto line = static_cast<std::uint32_t>(s.number(0));
        const auto of = static_cast<std::uint32_t>(s.number(1));
        // The base is below all lines of its generation, so they come first.
        for (auto base = bases.find(generation); of != generation && base != bases.end();
             base = bases.find(generation)) {
            newest = std::min(newest, base->second.line);
            generation = base->second.generation;
        }
        if (line <= newest && (of == generation || bases.count(generation) == 0)) {
            lines.push_back(line);
        }
    }
    if (auto r = s.done(); !r) return r.error();
    std::ranges::reverse(lines);
    return lines;
}

Result<std::map<std::uint32_t, LastLine>> Catalog::last_lines() {
    Statement s(*db_,
                "SELECT job, max(line), at_ns, uid FROM lines WHERE manifest <> '' GROUP BY job");
    std::map<std::uint32_t, LastLine> lines;
    while (s.row()) {
        lines[static_cast<std::uint32_t>(s.number(0))] = {static_cast<std::uint32_t>(s.number(1)),
                                                          s.number(2),
                                                          static_cast<std::uint32_t>(s.number(3))};
    }
    if (auto r = s.done(); !r) return r.error();
    return lines;
}

Result<Catalog::Page> Catalog::reports(std::optional<std::uint32_t> job, LineId after,
                                       std::size_t bytes) {
    Statement s(*db_, std::string("SELECT report FROM lines WHERE (job, line) > (?, ?) ") +
                          (job ? "AND job = ? " : "") + "ORDER BY job, line");
    s.bind(after.job).bind(after.line);
    if (job) s.bind(*job);
    Page page;
    std::size_t taken = 0;
    while (s.row()) {
        const std::string text = s.text(0);
        if (!page.reports.empty() && taken + text.size() > bytes) {
            page.more = true;
            return page;
        }
        taken += text.size();
        auto report = read_text<LineReport>(text, "a line's report");
        if (!report) return report.error();
        page.reports.push_back(std::move(*report));
    }
    if (auto r = s.done(); !r) return r.error();
    return page;
}

Result<std::vector<LineReport>> Catalog::reports(std::optional<std::uint32_t> job) {
    auto all = reports(job, {}, SIZE_MAX);
    if (!all) return all.error();
    return std::move(all->reports);
}

Result<Catalog::Reconciled> Catalog::reconcile(const std::vector<Manifest>& manifests,
                                               const std::vector<LineId>& there) {
    Transaction all(*db_);
    if (!all.begun()) return all.begun().error();
    std::set<std::pair<std::uint32_t, std::uint32_t>> known;
    {
        Statement s(*db_, "SELECT job, line FROM lines WHERE manifest <> ''");
        while (s.row()) {
            known.emplace(static_cast<std::uint32_t>(s.number(0)),
                          static_cast<std::uint32_t>(s.number(1)));
        }
        if (auto r = s.done(); !r) return r.error();
    }
    Reconciled change;
    for (const Manifest& m : manifests) {
        if (known.erase({m.job, m.line}) != 0) continue;
        if (auto r = know(m.job, m.line, m.generation); !r) return r.error();
        auto r = put(report_of(m), m.uid, json::serialize(to_json(m)));
        if (!r) return r.error();
        change.added.push_back({m.job, m.line});
    }
    for (const LineId& id : there) known.erase({id.job, id.line});
    for (const auto& [job, line] : known) {
        if (auto r = remove_line({job, line}); !r) return r.error();
        change.dropped.push_back({job, line});
    }
    if (auto r = all.commit(); !r) return r.error();
    return change;
}

Result<std::string> Catalog::store() {
    Statement s(*db_, "SELECT value FROM words WHERE name = 'store'");
    if (s.row()) return s.text(0);
    if (auto r = s.done(); !r) return r.error();
    return std::string();
}

Result<void> Catalog::put_store(const std::string& id) {
    return Statement(*db_, "INSERT OR REPLACE INTO words VALUES('store', ?)").bind(id).done();
}

Result<void> Catalog::put_place(const std::string& guest, const std::string& host) {
    auto r =
        Statement(*db_, "INSERT OR REPLACE INTO places VALUES(?, ?)").bind(guest).bind(host).done();
    if (!r) return r;
    return Statement(*db_, "DELETE FROM gone WHERE guest = ?").bind(guest).done();
}

Result<void> Catalog::heard(const std::string& host, const std::set<std::string>& has,
                            const std::set<std::string>& came) {
    Transaction all(*db_);
    if (!all.begun()) return all.begun();
    for (const std::string& guest : came) {
        if (auto r = put_place(guest, host); !r) return r;
    }
    auto known = places();
    if (!known) return known.error();
    for (const auto& [guest, where] : *known) {
        if (where != host || has.count(guest) != 0) continue;
        auto r = Statement(*db_, "INSERT OR REPLACE INTO gone VALUES(?, ?)")
                     .bind(guest)
                     .bind(host)
                     .done();
        if (!r) return r;
    }
    for (const char* table : {"doubts", "fenced_hosts"}) {
        auto r = Statement(*db_, std::string("DELETE FROM ") + table + " WHERE host = ?")
                     .bind(host)
                     .done();
        if (!r) return r;
    }
    return all.commit();
}

Result<void> Catalog::put_fenced(const std::string& host) {
    Transaction all(*db_);
    if (!all.begun()) return all.begun();
    for (const char* table : {"places", "doubts"}) {
        auto r = Statement(*db_, std::string("DELETE FROM ") + table + " WHERE host = ?")
                     .bind(host)
                     .done();
        if (!r) return r;
    }
    auto r = Statement(*db_, "INSERT OR REPLACE INTO fenced_hosts VALUES(?)").bind(host).done();
    if (!r) return r;
    return all.commit();
}

Result<std::vector<std::string>> Catalog::fenced() {
    Statement s(*db_, "SELECT host FROM fenced_hosts");
    std::vector<std::string> hosts;
    while (s.row()) hosts.push_back(s.text(0));
    if (auto r = s.done(); !r) return r.error();
    return hosts;
}

Result<std::map<std::string, std::set<std::string>>> Catalog::suspects() {
    Statement s(*db_,
                "SELECT guest, host FROM places WHERE NOT EXISTS (SELECT 1 FROM gone WHERE "
                "gone.guest = places.guest AND gone.host = places.host) "
                "UNION SELECT guest, host FROM doubts");
    std::map<std::string, std::set<std::string>> suspects;
    while (s.row()) suspects[s.text(0)].insert(s.text(1));
    if (auto r = s.done(); !r) return r.error();
    return suspects;
}

Result<bool> Catalog::knows_places() {
    Statement s(*db_, "SELECT 1 FROM words WHERE name = 'places' AND value = 'unknown'");
    const bool unknown = s.row();
    while (s.row()) {
    }
    if (auto r = s.done(); !r) return r.error();
    return !unknown;
}

Result<void> Catalog::learn_places(const std::vector<HostRecord>& records,
                                   const std::vector<Manifest>& manifests) {
    auto known = knows_places();
    if (!known) return known.error();
    if (*known) return {};
    auto seen = places();  // whose hosts have spoken already
    if (!seen) return seen.error();
    std::set<std::pair<std::string, std::string>> doubts;
    std::set<std::string> noted;
    for (const HostRecord& record : records) {
        for (const std::string& guest : record.guests) {
            doubts.emplace(guest, record.host);
            noted.insert(guest);
        }
    }
    for (const Manifest& m : manifests) {
        for (const ManifestGuest& g : m.guests) {
            if (noted.count(g.name) == 0) doubts.emplace(g.name, g.host);
        }
    }
    Transaction all(*db_);
    if (!all.begun()) return all.begun();
    for (const auto& [guest, host] : doubts) {
        if (seen->count(guest) != 0) continue;
        auto r = Statement(*db_, "INSERT OR REPLACE INTO doubts VALUES(?, ?)")
                     .bind(guest)
                     .bind(host)
                     .done();
        if (!r) return r;
    }
    if (auto r = db_->run("DELETE FROM words WHERE name = 'places'"); !r) return r;
    return all.commit();
}

Result<std::map<std::string, std::string>> Catalog::places() {
    Statement s(*db_, "SELECT guest, host FROM places");
    std::map<std::string, std::string> places;
    while (s.row()) places[s.text(0)] = s.text(1);
    if (auto r = s.done(); !r) return r.error();
    return places;
}

Result<void> Catalog::put_move(const MoveReport& report, std::uint32_t keep) {
    Result<void> put = Statement(*db_, "INSERT OR REPLACE INTO moves VALUES(?, ?, ?)")
                           .bind(report.move)
                           .bind(report.open ? 1 : 0)
                           .bind(json::serialize(to_json(report)))
                           .done();
    if (!put) return put;
    return Statement(*db_, "DELETE FROM moves WHERE open = 0 AND move + ? <= ?")
        .bind(keep)
        .bind(report.move)
        .done();
}

Result<std::vector<MoveReport>> Catalog::moves(std::uint32_t count) {
    Statement s(*db_, "SELECT report FROM moves ORDER BY move DESC LIMIT ?");
    s.bind(count ? static_cast<std::int64_t>(count) : -1);
    std::vector<MoveReport> moves;
    while (s.row()) {
        auto report = read_text<MoveReport>(s.text(0), "a move's report");
        if (!report) return report.error();
        moves.insert(moves.begin(), std::move(*report));
    }
    if (auto r = s.done(); !r) return r.error();
    return moves;
}

Result<void> Catalog::put_closed(const std::string& host, bool closed) {
    return Statement(*db_, closed ? "INSERT OR REPLACE INTO closed_hosts VALUES(?)"
                                  : "DELETE FROM closed_hosts WHERE host = ?")
        .bind(host)
        .done();
}

Result<std::vector<std::string>> Catalog::closed() {
    Statement s(*db_, "SELECT host FROM closed_hosts");
    std::vector<std::string> hosts;
    while (s.row()) hosts.push_back(s.text(0));
    if (auto r = s.done(); !r) return r.error();
    return hosts;
}

LineReport report_of(const Manifest& m) {
    LineReport r;
    r.job = m.job;
    r.line = m.line;
    r.generation = m.generation;
    r.phase = Phase::done;
    r.phases = m.phases;
    r.proof = m.proof;
    if (!m.phases.empty()) r.requested_at_ns = m.phases.front().began_ns;
    for (const PhaseTime& p : m.phases) {
        if (p.phase == Phase::drain) r.drain_ms = p.ms;
        if (p.phase == Phase::silence || p.phase == Phase::capture || p.phase == Phase::release) {
            r.pause_ms += p.ms;
        }
        if (p.phase == Phase::commit) r.commit_ms = p.ms;
    }
    for (const ManifestGuest& g : m.guests) {
        GuestReport guest;
        guest.guest = g.name;
        guest.host = g.host;
        guest.method = g.method;
        guest.raw_bytes = g.raw_bytes;
        guest.stored_bytes = g.stored_bytes;
        guest.durable = true;
        guest.note = g.note;
        r.guests.push_back(std::move(guest));
    }
    return r;
}

}  // namespace grl::coordinator
