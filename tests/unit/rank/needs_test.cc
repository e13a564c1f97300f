// What the libraries that come into other people's processes need there: no C++ runtime, which the
// program's environment may have in an older version.
#include <gtest/gtest.h>

#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

struct Needs : testing::TestWithParam<std::string> {
    std::string path() const { return ".libs/" + GetParam(); }
};

TEST_P(Needs, NoCxxRuntime) {
    const Ran ran = run("objdump -p " + path() + " 2>&1");
    ASSERT_EQ(ran.status, 0) << ran.output;
    EXPECT_NE(ran.output.find("NEEDED"), std::string::npos);
    for (const char* library : {"libstdc++", "libgcc_s", "libc++", "GLIBCXX", "CXXABI", "GCC_"})
        EXPECT_EQ(ran.output.find(library), std::string::npos) << library << "\n" << ran.output;
}

TEST_P(Needs, NothingOfCxxIsAskedForOrGiven) {
    const Ran ran = run("nm -D " + path() + " 2>&1");
    ASSERT_EQ(ran.status, 0) << ran.output;
    std::istringstream lines(ran.output);
    for (std::string line; std::getline(lines, line);) {
        if (line.find(" w _ZGTt") != std::string::npos) continue;  // for transactions: nobody's
        // The C library's own are well: __cxa_finalize, __cxa_atexit, __cxa_thread_atexit_impl.
        for (const char* cxx : {" _Z", " __gxx_", " __gcc_", " _Unwind_", " __cxa_throw",
                                " __cxa_begin", " __cxa_guard", " __cxa_pure"})
            EXPECT_EQ(line.find(cxx), std::string::npos) << line;
    }
}

INSTANTIATE_TEST_SUITE_P(Libraries, Needs,
                         testing::Values("libgrl_agent.so", "libgrl_mpi.so"),
                         [](const auto& library) {
                             return library.param == "libgrl_agent.so" ? "agent" : "mpi";
                         });

// The archive goes into C and Fortran programs.
TEST(Needs, TheArchiveAsksForNothingOfCxx) {
    std::istringstream mpis(GRL_MPIS);
    for (std::string mpi; mpis >> mpi;) {
        const std::string archive =
            mpi == "openmpi" ? "libgrl_armci.a" : "libgrl_armci_" + mpi + ".a";
        const Names asked = symbols(archive, 'U');
        ASSERT_FALSE(asked.empty()) << archive;
        for (const std::string& name : asked)
            for (const char* cxx : {"_Z", "__gxx_", "_Unwind_", "__cxa_"})
                EXPECT_FALSE(name.starts_with(cxx) && !name.starts_with("_ZN3grl")) << name;
    }
}

}  // namespace
