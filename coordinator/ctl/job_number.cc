#include "coordinator/ctl/job_number.h"

#include <slurm/slurm.h>
#include <slurm/slurm_errno.h>

#include <cerrno>
#include <charconv>
#include <memory>

namespace grl::coordinator {

namespace {

struct FreeJobs {
    void operator()(job_info_msg_t* m) const { slurm_free_job_info_msg(m); }
};

std::optional<std::uint32_t> whole_number(const std::string& text) {
    std::uint32_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, ec] = std::from_chars(text.data(), end, number);
    if (ec != std::errc() || rest != end) return {};
    return number;
}

}  // namespace

Result<JobName> parse_job_name(const std::string& text) {
    const auto bar = text.find('_');
    const auto job = whole_number(text.substr(0, bar));
    JobName name;
    name.job = job.value_or(0);
    if (bar != std::string::npos) name.task = whole_number(text.substr(bar + 1));
    if (job && (bar == std::string::npos || name.task)) return name;
    const bool component = text.find('+') != std::string::npos;
    return fail("grlctl", "",
                component ? "'" + text + "': heterogeneous jobs are not protected"
                          : "'" + text + "' is no job (12, or 5_3 for a task of an array)",
                ErrorKind::usage);
}

Result<std::uint32_t> job_number(const std::string& text) {
    const auto name = parse_job_name(text);
    if (!name) return name.error();
    if (!name->task) return name->job;
    slurm_init(nullptr);
    job_info_msg_t* raw = nullptr;
    if (slurm_load_job(&raw, name->job, SHOW_ALL) != SLURM_SUCCESS) {
        const bool unknown = errno == ESLURM_INVALID_JOB_ID;
        return fail("asking Slurm about job " + text, "",
                    unknown ? "there is no such job" : slurm_strerror(errno),
                    unknown ? ErrorKind::not_found : ErrorKind::unreachable);
    }
    const std::unique_ptr<job_info_msg_t, FreeJobs> jobs(raw);
    for (std::uint32_t i = 0; i < jobs->record_count; ++i) {
        const slurm_job_info_t& job = jobs->job_array[i];
        if (job.array_job_id == name->job && job.array_task_id == *name->task) return job.job_id;
    }
    return fail("asking Slurm about job " + text, "",
                "there is no such task, or it has not begun to run", ErrorKind::not_found);
}

}  // namespace grl::coordinator
