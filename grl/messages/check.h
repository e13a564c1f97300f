// spank_grl.so asks whether a step may be protected; replies Done or an error.
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
};
BOOST_DESCRIBE_STRUCT(CheckStep, (), (job, step, nodes))

}  // namespace grl
