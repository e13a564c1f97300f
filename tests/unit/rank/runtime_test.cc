// What is loaded into every process of a protected step takes no C++ runtime along: an older one
// may stand first in the process's LD_LIBRARY_PATH.
#include <gtest/gtest.h>

#include <sstream>

#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

std::string needed(const std::string& library) {
    const Ran ran = run("objdump -p " + library);
    EXPECT_EQ(ran.status, 0) << ran.output;
    std::istringstream lines(ran.output);
    std::string needed;
    for (std::string line; std::getline(lines, line);)
        if (line.find("NEEDED") != std::string::npos) needed += line + "\n";
    return needed;
}

TEST(Runtime, ThePreloadNeedsNoCppRuntime) {
    const std::string libraries = needed(".libs/libgrl_mpi.so");
    EXPECT_EQ(libraries.find("libstdc++"), std::string::npos) << libraries;
    EXPECT_EQ(libraries.find("libgcc_s"), std::string::npos) << libraries;
    EXPECT_NE(libraries.find("libc.so"), std::string::npos) << libraries;
}

}  // namespace
