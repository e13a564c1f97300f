// spank_grl.so asks whether a step may be protected; replies StepChecked or an error.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace grl {

struct CheckStep {
    static constexpr const char* kType = "check_step";
    std::uint32_t job = 0;
    std::uint32_t step = 0;
    std::vector<std::string> nodes;
    std::uint32_t wait_ms = 0;  // how long the answer may wait for the end of the step before
};
BOOST_DESCRIBE_STRUCT(CheckStep, (), (job, step, nodes, wait_ms))

struct StepChecked {
    static constexpr const char* kType = "step_checked";
    std::string beside;  // empty: it may; else why it can only run beside a step that is protected
};
BOOST_DESCRIBE_STRUCT(StepChecked, (), (beside))

}  // namespace grl
