#include "coordinator/requests/status.h"

#include <algorithm>

#include "coordinator/version.h"
#include "grl/messages/guests.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

namespace {

HostReport host_report(const Host& host, const Hosts& hosts) {
    HostReport r;
    r.host = host.name;
    r.connected = host.connected();
    r.driver = host.inventory.driver;
    r.vmm_version = host.inventory.vmm_version;
    r.memory_mib = host.inventory.memory_mib;
    r.memory_free_mib = host.inventory.memory_free_mib;
    r.adapters_free = host.inventory.adapters_free;
    if (!r.connected) return r;
    r.store_fault = hosts.store_fault(host);
    for (const GuestInfo& g : host.inventory.guests) {
        if (g.state != GuestState::absent) r.guests.push_back(g);
    }
    return r;
}

JobReport step_report(const Parts& parts, const Lines& lines, const Step& step) {
    JobReport r;
    r.job = step.job;
    r.step = step.step;
    r.uid = step.uid;
    r.generation = step.generation;
    r.every_s = step.every_s;
    r.ranks = step.ranks;
    for (const auto& [node, member] : step.members) r.guests.push_back(node);
    r.state = step_condition(step, parts.hosts);
    r.reason = line_obstacle(step, parts.hosts);
    if (const auto run = lines.of(step.job); run && run->id().line != 0) {
        r.state = run->condition();
        r.reason = run->doing() + ": " + name_of(run->report().phase);
    }
    return r;
}

}  // namespace

StatusReport status_report(const Parts& parts, const Lines& lines, const Restores& restores,
                           const std::map<std::uint32_t, LastLine>& last_lines) {
    StatusReport report;
    report.cluster = parts.config.cluster;
    report.version = kVersion;
    report.store = parts.hosts.store();
    for (const auto& [name, host] : parts.hosts.all()) {
        report.hosts.push_back(host_report(host, parts.hosts));
    }
    for (const Step* step : parts.steps.all()) {
        if (restores.of(step->job)) continue;
        report.jobs.push_back(step_report(parts, lines, *step));
    }
    for (const auto& [job, run] : restores.all()) report.jobs.push_back(run->job_report());
    for (JobReport& job : report.jobs) {
        auto last = last_lines.find(job.job);
        if (last == last_lines.end()) continue;
        job.last_line = last->second.line;
        job.last_line_ns = last->second.at_ns;
    }
    std::sort(report.jobs.begin(), report.jobs.end(), [](const auto& a, const auto& b) {
        return std::pair(a.job, a.step) < std::pair(b.job, b.step);
    });
    return report;
}

}  // namespace grl::coordinator
