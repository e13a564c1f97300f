#include "coordinator/ctl/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "coordinator/ctl/table.h"
#include "coordinator/ctl/units.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

namespace {

std::size_t terminal_width() {
    winsize size{};
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void add_lines(std::vector<std::string>& lines, const std::string& text) {
    std::size_t from = 0;
    while (from < text.size()) {
        const std::size_t to = std::min(text.find('\n', from), text.size());
        lines.push_back(text.substr(from, to - from));
        from = to + 1;
    }
}

}  // namespace

void ProgressView::plain(const std::string& subject, const std::string& phase) {
    if (std::exchange(last_phase_, phase) == phase) return;
    printf("%s: %s\n", subject.c_str(), phase.c_str());
    fflush(stdout);
}

void ProgressView::show(const LineReport& r) {
    const std::string subject =
        "line " + std::to_string(r.job) + (r.line ? "/" + std::to_string(r.line) : "");
    const std::string phase = name_of(r.phase) + (r.reason.empty() ? "" : ", " + r.reason);
    if (!terminal_) return plain(subject, phase);
    std::vector<std::string> lines = {subject + ": " + phase};
    std::string phases;
    for (const PhaseTime& p : r.phases) {
        if (p.ms > 0) phases += "  " + name_of(p.phase) + " " + ms_text(p.ms);
    }
    if (!phases.empty()) lines.push_back(phases + " ms");
    Table guests({"GUEST", "HOST", "METHOD", ">READ", ">STORED", ""});
    for (const GuestReport& g : r.guests) {
        guests.add({g.guest, g.host, g.method == CaptureMethod::none ? "" : name_of(g.method),
                    bytes_text(g.raw_bytes), bytes_text(g.stored_bytes),
                    g.durable ? "durable" : ""});
    }
    if (!guests.empty()) add_lines(lines, guests.text(2));
    draw(lines);
}

void ProgressView::show(const RestoreReport& r) {
    const std::string subject = "restore of job " + std::to_string(r.job) +
                                (r.line ? " to line " + std::to_string(r.line) : "");
    if (!terminal_) return plain(subject, r.stage);
    std::vector<std::string> lines = {subject + ": " + r.stage};
    for (const std::string& note : r.notes) lines.push_back("  " + note);
    std::string stages;
    for (std::size_t i = 0; i < std::min(r.stages.size(), r.stage_ms.size()); ++i) {
        stages += "  " + r.stages[i] + " " + ms_text(r.stage_ms[i]);
    }
    if (!stages.empty()) lines.push_back(stages + " ms");
    Table guests({"GUEST", "HOST", ">IMAGE", ""});
    for (const GuestReport& g : r.guests) {
        guests.add({g.guest, g.host, bytes_text(g.stored_bytes), g.durable ? "loaded" : ""});
    }
    if (!guests.empty()) add_lines(lines, guests.text(2));
    draw(lines);
}

// Time left: what is left at the rate so far, less what the guest writes meanwhile.
void ProgressView::show(const MoveReport& r) {
    const std::string subject =
        "move " + std::to_string(r.move) + ": guest " + r.guest + " from " + r.from + " to " + r.to;
    if (!terminal_) return plain(subject, name_of(r.line.phase));
    moves_[r.move] = r;
    Table table({"GUEST", "FROM", "TO", "PHASE", ">SENT", ">MiB/s", ">LEFT", ">WRITES MiB/s",
                 ">PASS", ">TIME LEFT"});
    for (const auto& [number, m] : moves_) {
        const double s = m.total_ms / 1000;
        const double rate = s > 0 ? static_cast<double>(m.sent_bytes) / s : 0;
        const double gain = rate - static_cast<double>(m.dirty_bytes_s);
        const bool copies = m.line.phase == Phase::precopy;
        const double left_ms = static_cast<double>(m.left_bytes) / gain * 1000;
        table.add({m.guest, m.from, m.to, name_of(m.line.phase), bytes_text(m.sent_bytes),
                   rate_text(m.sent_bytes, static_cast<std::int64_t>(m.total_ms * 1e6)),
                   copies ? bytes_text(m.left_bytes) : "",
                   copies ? rate_text(m.dirty_bytes_s, 1'000'000'000) : "",
                   m.passes ? std::to_string(m.passes) : "",
                   copies && gain > 0 ? duration_text(left_ms) : ""});
    }
    std::vector<std::string> lines;
    add_lines(lines, table.text());
    draw(lines);
}

// A line that wraps would spoil the count of what is to be redrawn.
void ProgressView::draw(const std::vector<std::string>& lines) {
    const std::size_t width = terminal_width() - 1;
    clear();
    for (const std::string& line : lines) printf("%s\n", line.substr(0, width).c_str());
    drawn_ = lines.size();
    fflush(stdout);
}

void ProgressView::clear() {
    if (drawn_ > 0) printf("\x1b[%zuA\x1b[J", drawn_);
    drawn_ = 0;
}

}  // namespace grl::coordinator
