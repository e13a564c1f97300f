// The preload among other people's interposers, without Slurm: nothing is drained, all calls pass.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "grl/line_page.h"
#include "tests/armci_support.h"

using namespace grl;

namespace {

const std::string kTests = GRL_SOURCE "/tests/";

class MpiPreload : public testing::Test {
  protected:
    void SetUp() override {
        unsetenv(kLinePageEnv);
        if (mkdtemp(folder_.data()) == nullptr) std::abort();
        folder_ = std::filesystem::absolute(folder_);
        ASSERT_EQ(run(GRL_MPICC " -shared -fPIC " + kTests + "mpi_profiler.c -o " + folder_ +
                      "/libprofiler.so 2>&1")
                      .status,
                  0);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void build(const std::string& libraries) const {
        const Ran built =
            run(GRL_MPICC " " + kTests + "mpi_profiled.c -o " + folder_ + "/profiled -L" + folder_ +
                " -Wl,-rpath," + folder_ + " -Wl,--no-as-needed " + libraries + " 2>&1");
        ASSERT_EQ(built.status, 0) << built.output;
    }

    Ran with_preload(const std::string& more = "") const {
        const std::string library = std::filesystem::absolute(".libs/libgrl_mpi.so");
        return run("OMPI_MCA_osc=pt2pt LD_PRELOAD='" + more + " " + library + "' timeout 60 " +
                   folder_ + "/profiled 2>&1 </dev/null");
    }

    std::string folder_ = "mpi_preload.XXXXXX";
};

const std::string kCounts = "locks 2 puts 2 reductions 1\n";

TEST_F(MpiPreload, AProfilerThatIsLinkedSeesItsCalls) {
    ASSERT_NO_FATAL_FAILURE(build("-lprofiler"));
    const Ran ran = with_preload();
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, kCounts);
}

TEST_F(MpiPreload, AProfilerThatIsPreloadedSeesItsCalls) {
    ASSERT_NO_FATAL_FAILURE(build(""));
    const Ran ran = with_preload(folder_ + "/libprofiler.so");
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, kCounts);
}

TEST_F(MpiPreload, AProgramWithoutAProfilerRuns) {
    ASSERT_NO_FATAL_FAILURE(build(""));
    const Ran ran = with_preload();
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, "");
}

}  // namespace
