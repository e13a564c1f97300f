// Jobs as squeue prints them: 12, or 5_3 for a task of an array.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grl/base/result.h"

namespace grl::coordinator {

struct JobName {
    std::uint32_t job = 0;              // an array's where there is a task
    std::optional<std::uint32_t> task;  // of an array
};

// Pure.
Result<JobName> parse_job_name(const std::string& text);

// The number by which Slurm knows the job. Of an array's task Slurm is asked, by libslurm, which
// ends the process with a message where there is no slurm.conf.
Result<std::uint32_t> job_number(const std::string& text);

}  // namespace grl::coordinator
