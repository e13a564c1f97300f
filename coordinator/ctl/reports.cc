#include "coordinator/ctl/reports.h"

#include <algorithm>

#include "coordinator/ctl/table.h"
#include "coordinator/ctl/units.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

namespace {

template <class List, class Text>
std::string joined(const List& list, Text text) {
    std::string out;
    for (const auto& item : list) out += (out.empty() ? "" : " ") + text(item);
    return out;
}

std::string name_of_line(std::uint32_t job, std::uint32_t line) {
    return std::to_string(job) + "/" + std::to_string(line);
}

std::string state_of(const LineReport& r) {
    if (r.phase == Phase::done) return "committed";
    return name_of(r.phase);
}

std::uint64_t stored(const LineReport& r) {
    std::uint64_t bytes = 0;
    for (const GuestReport& g : r.guests) bytes += g.stored_bytes;
    return bytes;
}

std::string bytes_or_none(std::uint64_t bytes) {
    return bytes ? bytes_text(bytes) : "";
}
std::string ms_or_none(double ms) {
    return ms > 0 ? ms_text(ms) : "";
}

std::string method_text(CaptureMethod method) {
    return method == CaptureMethod::none ? "" : name_of(method);
}

std::string phases_text(const std::vector<PhaseTime>& phases) {
    Table table({"PHASE", "BEGAN", ">MS"});
    for (const PhaseTime& p : phases) {
        table.add({name_of(p.phase), time_text(p.began_ns), ms_text(p.ms)});
    }
    return table.text();
}

std::string guests_text(const LineReport& r, const Manifest* manifest) {
    Table table(
        {"GUEST", "HOST", "METHOD", ">MEMORY", ">RAW", ">STORED", ">MiB/s", ">PAUSED MS", "NOTE"});
    for (const GuestReport& g : r.guests) {
        std::string rate, memory;
        if (manifest) {
            for (const ManifestGuest& m : manifest->guests) {
                if (m.name != g.guest) continue;
                rate = rate_text(m.raw_bytes, m.durable_at_ns - m.stopped_at_ns);
                memory = mib_text(m.memory_mib);
            }
        }
        table.add({g.guest, g.host, method_text(g.method), memory, bytes_or_none(g.raw_bytes),
                   bytes_or_none(g.stored_bytes), rate, ms_or_none(g.paused_ms), g.note});
    }
    return table.text();
}

std::string counts_text(const Proof& p) {
    return std::to_string(p.ranks) + " ranks: " + std::to_string(p.issued) +
           " operations issued, " + std::to_string(p.completed) + " completed, " +
           std::to_string(p.deferred) + " deferred";
}

std::string proof_text(const Proof& p) {
    return p.ranks == 0 ? "" : "silence   " + counts_text(p) + "\n";
}

std::string times_text(const LineReport& r) {
    std::string out = "drain     " + ms_text(r.drain_ms) + " ms\n" +  //
                      "pause     " + ms_text(r.pause_ms) + " ms\n";
    if (r.phase == Phase::done) out += "commit    " + ms_text(r.commit_ms) + " ms\n";
    return out;
}

std::string head_text(const LineReport& r) {
    std::string out = "line " + name_of_line(r.job, r.line) + " is " + state_of(r) +
                      ", generation " + std::to_string(r.generation) + "\n";
    if (!r.reason.empty()) out += "reason    " + r.reason + "\n";
    return out;
}

}  // namespace

std::string status_text(const StatusReport& report) {
    std::string out = "cluster " + report.cluster + ", grl " + report.version + "\n\n";
    Table hosts({"HOST", "STATE", "VMM", ">FREE", ">MEMORY", "GUESTS"});
    for (const HostReport& h : report.hosts) {
        hosts.add(
            {h.host, h.connected ? "connected" : "away", h.vmm_version, mib_text(h.memory_free_mib),
             mib_text(h.memory_mib), joined(h.guests, [](const GuestInfo& g) {
                 return g.state == GuestState::running ? g.name
                                                       : g.name + "(" + name_of(g.state) + ")";
             })});
    }
    out += hosts.empty() ? "no host has been seen\n" : hosts.text();
    for (const HostReport& h : report.hosts) {
        if (!h.store_fault.empty()) out += h.store_fault + "\n";
    }
    Table jobs({">JOB", ">STEP", "USER", "STATE", ">GEN", ">RANKS", ">EVERY", ">LINE", "TAKEN",
                "GUESTS", "REASON"});
    for (const JobReport& j : report.jobs) {
        jobs.add({std::to_string(j.job), std::to_string(j.step), user_text(j.uid), j.state,
                  std::to_string(j.generation), std::to_string(j.ranks),
                  j.every_s ? std::to_string(j.every_s) + " s" : "",
                  j.last_line ? std::to_string(j.last_line) : "",
                  j.last_line ? time_text(j.last_line_ns) : "",
                  joined(j.guests, [](const std::string& g) { return g; }), j.reason});
    }
    return out + "\n" + (jobs.empty() ? "no protected job\n" : jobs.text());
}

std::string list_text(const LineReports& reports) {
    Table table({"LINE", "STATE", ">GEN", "TAKEN", ">DRAIN MS", ">PAUSE MS", ">COMMIT MS",
                 ">GUESTS", ">STORED", "REASON"});
    for (const LineReport& r : reports.lines) {
        table.add({name_of_line(r.job, r.line), state_of(r), std::to_string(r.generation),
                   time_text(r.requested_at_ns), ms_or_none(r.drain_ms), ms_or_none(r.pause_ms),
                   ms_or_none(r.commit_ms), std::to_string(r.guests.size()),
                   bytes_or_none(stored(r)), r.reason});
    }
    return table.empty() ? "no lines\n" : table.text();
}

std::string show_text(const ShownLine& shown) {
    const LineReport& r = shown.report;
    std::string out = head_text(r);
    auto manifest = from_json<Manifest>(shown.manifest, "the manifest");
    if (manifest) {
        out += "user      " + user_text(manifest->uid) + "\n" +  //
               "step      " + std::to_string(manifest->step) +
               (manifest->every_s ? ", a line every " + std::to_string(manifest->every_s) + " s"
                                  : "") +
               "\n" +  //
               "vmm       " + manifest->vmm_version + "\n";
    }
    out += "taken     " + time_text(r.requested_at_ns) + "\n";
    out += times_text(r) + proof_text(r.proof);
    out += "\n" + phases_text(r.phases);
    if (!r.guests.empty()) out += "\n" + guests_text(r, manifest ? &*manifest : nullptr);
    return out;
}

std::string line_text(const LineReport& r) {
    return head_text(r) + times_text(r) + proof_text(r.proof) + "\n" + guests_text(r, nullptr);
}

std::string held_text(const HeldJob& held) {
    const std::string job = std::to_string(held.report.job);
    std::string text = "job " + job + " is held: silent after " + ms_text(held.report.drain_ms) +
                       " ms, its guests stand still.\n";
    for (const GuestReport& g : held.report.guests) text += "  " + g.guest + " on " + g.host + "\n";
    const auto& guests = held.report.guests;
    if (!guests.empty() &&
        std::all_of(guests.begin(), guests.end(), [](const GuestReport& g) { return g.durable; })) {
        text += "Line " + job + "/" + std::to_string(held.report.line) +
                " is committed. To power its hosts off, stop its guests (grlctl stop GUEST); then: "
                "grlctl restore " +
                job + "\n";
    }
    text += "It goes on by itself in " + std::to_string(held.limit_s) + " s";
    if (held.slurmd_timeout_s != 0) {
        text += " (Slurm's SlurmdTimeout is " + std::to_string(held.slurmd_timeout_s) + " s)";
    }
    return text + ", or with: grlctl release " + job + "\n";
}

std::string went_on_text(const LineReport& r) {
    return "job " + std::to_string(r.job) + " goes on; it stood still for " + ms_text(r.pause_ms) +
           " ms\n";
}

std::string rehearsal_text(const LineReport& r) {
    return "silent after " + ms_text(r.drain_ms) + " ms, on after " + ms_text(r.pause_ms) +
           " ms more; " + counts_text(r.proof) + "\n";
}

std::string restore_text(const RestoreReport& r) {
    std::string out = "job " + std::to_string(r.job) + " goes on from line " +
                      name_of_line(r.job, r.line) + ", generation " + std::to_string(r.generation) +
                      ", after " + duration_text(r.total_ms) + "\n";
    for (const std::string& note : r.notes) out += note + "\n";
    out += "\n";
    Table stages({"STAGE", ">MS"});
    for (std::size_t i = 0; i < std::min(r.stages.size(), r.stage_ms.size()); ++i) {
        stages.add({r.stages[i], ms_text(r.stage_ms[i])});
    }
    Table guests({"GUEST", "HOST", ">RAW", ">STORED"});
    for (const GuestReport& g : r.guests) {
        guests.add({g.guest, g.host, bytes_or_none(g.raw_bytes), bytes_or_none(g.stored_bytes)});
    }
    return out + stages.text() + "\n" + guests.text();
}

std::string verify_text(LineId id, const VerifiedLine& verified) {
    Table table({"GUEST", "IMAGE", ">STORED", "REASON"});
    bool good = true;
    for (const GuestVerified& g : verified.guests) {
        good = good && g.good;
        table.add({g.guest, g.good ? "good" : "BAD", bytes_or_none(g.stored_bytes), g.reason});
    }
    return "line " + name_of_line(id.job, id.line) + " is " + (good ? "good" : "damaged") + "\n\n" +
           table.text();
}

std::string move_text(const MoveReport& r) {
    std::string out = "guest " + r.guest + " runs on " + r.to + ", it came from " + r.from + "\n";
    out += "total     " + duration_text(r.total_ms) + ", " + bytes_text(r.sent_bytes) + " sent\n";
    out += "downtime  " + ms_text(r.downtime_ms) + " ms\n";
    if (r.drained) out += "drain     " + ms_text(r.line.drain_ms) + " ms\n";
    out += proof_text(r.line.proof);
    if (!r.drained && r.line.job != 0) out += "no silence of job " + std::to_string(r.line.job);
    if (!r.drained && r.line.job == 0) out += "no protected job runs on it";
    if (!r.drained) out += (r.note.empty() ? "" : ": " + r.note) + "\n";
    return out + "\n" + phases_text(r.line.phases);
}

std::string evacuation_text(const std::string& host, const MoveReports& reports) {
    std::string out = "host " + host + " is empty, and closed until: grlctl reopen " + host + "\n";
    for (const MoveReport& r : reports.moves) {
        out +=
            "  " + r.guest + " runs on " + r.to + ", downtime " + ms_text(r.downtime_ms) + " ms\n";
    }
    return out;
}

std::string history_text(const MoveReports& reports) {
    Table table({">MOVE", "GUEST", "FROM", "TO", "STATE", "BEGAN", ">JOB", ">COPY MS", ">DRAIN MS",
                 ">DOWNTIME MS", ">TOTAL MS", ">SENT", "CAUSE", "REASON"});
    for (const MoveReport& r : reports.moves) {
        double copy_ms = 0;
        for (const PhaseTime& p : r.line.phases) {
            if (p.phase == Phase::precopy) copy_ms += p.ms;
        }
        const std::string state = r.line.phase != Phase::done ? name_of(r.line.phase)
                                  : r.drained                 ? "moved in silence"
                                                              : "moved";
        table.add({std::to_string(r.move), r.guest, r.from, r.to, state,
                   time_text(r.line.requested_at_ns), r.line.job ? std::to_string(r.line.job) : "",
                   ms_or_none(copy_ms), r.drained ? ms_or_none(r.line.drain_ms) : "",
                   ms_or_none(r.downtime_ms), ms_or_none(r.total_ms), bytes_or_none(r.sent_bytes),
                   r.cause, r.line.reason.empty() ? r.note : r.line.reason});
    }
    return table.empty() ? "no moves\n" : table.text();
}

}  // namespace grl::coordinator
