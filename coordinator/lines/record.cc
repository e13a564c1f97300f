#include "coordinator/lines/record.h"

#include <algorithm>

#include "coordinator/version.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

LineRecord::LineRecord(std::uint32_t job) {
    report_.job = job;
    report_.requested_at_ns = wall_ns();
    phase_began_ = Steady::now();
    report_.phases.push_back({Phase::request, report_.requested_at_ns, 0});
}

void LineRecord::admitted(const LineOrder& order) {
    report_.line = order.id.line;
    report_.generation = order.generation;
    for (const LineHost& host : order.hosts) {
        for (const GuestInfo& g : host.guests) {
            GuestReport line;
            line.guest = g.name;
            line.host = host.name;
            report_.guests.push_back(std::move(line));
            ManifestGuest image;
            image.name = g.name;
            image.host = host.name;
            image.image = g.name + ".img";
            image.definition_digest = g.definition_digest;
            image.memory_mib = g.memory_mib;
            image.contents = g.contents;
            images_[g.name] = std::move(image);
        }
    }
    std::sort(report_.guests.begin(), report_.guests.end(),
              [](const auto& a, const auto& b) { return a.guest < b.guest; });
}

void LineRecord::enter(Phase phase) {
    report_.phase = phase;
    if (report_.phases.back().phase == phase) return;
    const auto now = Steady::now();
    report_.phases.back().ms = ms_between(phase_began_, now);
    if (phase == Phase::hold && report_.phases.back().phase == Phase::commit) {
        report_.commit_ms = report_.phases.back().ms;
    }
    report_.phases.push_back({phase, wall_ns(), 0});
    phase_began_ = now;
}

void LineRecord::end(Phase phase, const std::string& reason) {
    report_.phase = phase;
    report_.phases.back().ms = ms_since(phase_began_);
    const bool went_on = released_at_ != Steady::time_point();
    const bool committed_before = report_.commit_ms > 0;  // by a hold
    if (phase == Phase::done && went_on && !committed_before)
        report_.commit_ms = ms_since(released_at_);
    report_.reason = reason;
}

// The ranks are the step's, as each node saw them in the fence; the counters are the node's own.
bool LineRecord::node_silent(const Silent& silent) {
    Proof& all = report_.proof;
    if (!std::exchange(proven_, true)) all = {.ranks = silent.proof.ranks};
    if (all.ranks != silent.proof.ranks) return false;
    all.issued += silent.proof.issued;
    all.completed += silent.proof.completed;
    all.deferred += silent.proof.deferred;
    // Both times are the node's own, too.
    const double ms = static_cast<double>(silent.silent_at_ns - silent.shut_at_ns) / 1e6;
    report_.silence_ms = std::max(report_.silence_ms, ms);
    return true;
}

void LineRecord::silent() {
    silent_at_ = Steady::now();
    report_.drain_ms = ms_between(phase_began_, silent_at_);
}

void LineRecord::released() {
    released_at_ = Steady::now();
    report_.pause_ms = ms_between(silent_at_, released_at_);
}

GuestReport* LineRecord::guest(const std::string& name) {
    for (GuestReport& g : report_.guests) {
        if (g.guest == name) return &g;
    }
    return nullptr;
}

void LineRecord::frozen(const GuestFrozen& frozen) {
    if (!guest(frozen.guest)) return;
    images_[frozen.guest].stopped_at_ns = frozen.stopped_at_ns;
    clocks_[frozen.guest] = {Steady::now(), true};
}

void LineRecord::captured(const GuestCaptured& captured) {
    GuestReport* g = guest(captured.guest);
    if (!g) return;
    ManifestGuest& image = images_[captured.guest];
    image.method = g->method = captured.method;
    image.note = g->note = captured.note;
    image.captured_at_ns = captured.captured_at_ns;
    if (captured.method != CaptureMethod::background) return;
    // It runs again since its cut. Both times are its host's.
    g->paused_ms = static_cast<double>(captured.captured_at_ns - image.stopped_at_ns) / 1e6;
    clocks_[captured.guest].is_stopped = false;
}

void LineRecord::resumed(const std::string& name) {
    GuestReport* g = guest(name);
    Clocks& clocks = clocks_[name];
    if (g && std::exchange(clocks.is_stopped, false)) g->paused_ms = ms_since(clocks.stopped);
}

void LineRecord::progress(const LineProgress& p) {
    GuestReport* g = guest(p.guest);
    if (!g || g->durable) return;
    g->raw_bytes = std::max(g->raw_bytes, p.raw_bytes);
    g->stored_bytes = std::max(g->stored_bytes, p.stored_bytes);
}

bool LineRecord::durable(const GuestDurable& d) {
    GuestReport* g = guest(d.guest);
    if (!g || d.digest.empty() || d.stored_bytes == 0) return false;
    ManifestGuest& image = images_[d.guest];
    image.digest = d.digest;
    image.raw_bytes = g->raw_bytes = d.raw_bytes;
    image.stored_bytes = g->stored_bytes = d.stored_bytes;
    image.durable_at_ns = d.durable_at_ns;
    g->durable = true;
    return true;
}

void LineRecord::failed(const std::string& name, const std::string& reason) {
    if (GuestReport* g = guest(name)) g->note = reason;
}

bool LineRecord::all_durable() const {
    return !report_.guests.empty() && std::all_of(report_.guests.begin(), report_.guests.end(),
                                                  [](const GuestReport& g) { return g.durable; });
}

bool LineRecord::durable_on(const LineHost& host) const {
    return std::all_of(report_.guests.begin(), report_.guests.end(),
                       [&](const GuestReport& g) { return g.host != host.name || g.durable; });
}

Manifest LineRecord::manifest(const LineOrder& order, const std::string& cluster) const {
    Manifest m;
    m.grl_version = kVersion;
    m.cluster = cluster;
    if (!order.hosts.empty()) {
        m.driver = order.hosts.front().driver;
        m.vmm_version = order.hosts.front().vmm_version;
    }
    m.job = order.id.job;
    m.step = order.step;
    m.uid = order.uid;
    m.line = order.id.line;
    m.generation = order.generation;
    m.attempt = order.attempt;
    m.every_s = order.every_s;
    m.life = order.life;
    m.proof = report_.proof;
    m.phases = report_.phases;
    m.phases.back().ms = ms_since(phase_began_);
    for (const GuestReport& g : report_.guests) m.guests.push_back(images_.at(g.guest));
    return m;
}

}  // namespace grl::coordinator
