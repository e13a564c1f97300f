// The preload among other people's interposers, without Slurm: nothing is drained, all calls pass.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "grl/page/line_page.h"
#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

const std::string kPrograms = GRL_SOURCE "/tests/programs/";

class MpiPreload : public testing::Test {
  protected:
    void SetUp() override {
        unsetenv(kLinePageEnv);
        if (mkdtemp(folder_.data()) == nullptr) std::abort();
        folder_ = std::filesystem::absolute(folder_);
        ASSERT_NO_FATAL_FAILURE(build_library("profiler"));
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }

    void build_library(const std::string& name) const {
        const Ran built = run(GRL_MPICC " -shared -fPIC " + kPrograms + "mpi_" + name + ".c -o " +
                              folder_ + "/lib" + name + ".so 2>&1");
        ASSERT_EQ(built.status, 0) << built.output;
    }

    void build(const std::string& libraries, const std::string& program = "profiled") const {
        const Ran built =
            run(GRL_MPICC " " + kPrograms + "mpi_" + program + ".c -o " + folder_ + "/program -L" +
                folder_ + " -Wl,-rpath," + folder_ + " -Wl,--no-as-needed " + libraries + " 2>&1");
        ASSERT_EQ(built.status, 0) << built.output;
    }

    Ran with_preload(const std::string& more = "", const std::string& environment = "") const {
        const std::string library = std::filesystem::absolute(".libs/libgrl_mpi.so");
        return run(environment + " OMPI_MCA_osc=pt2pt LD_PRELOAD='" + more + " " + library +
                   "' timeout 60 " + folder_ + "/program 2>&1 </dev/null");
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

TEST_F(MpiPreload, AnAnnouncementIsRetractedWhereMpiDoesNotComeUp) {
    ASSERT_NO_FATAL_FAILURE(build_library("unable"));
    ASSERT_NO_FATAL_FAILURE(build("-lunable", "alone"));
    const Ran ran = with_preload("", std::string(kLinePageEnv) + "=/none " + kAgentLibraryEnv +
                                         "=" + folder_ + "/libunable.so");
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, "announced\nMPI does not come up\nretracted\nalone\n");
}

// Of MPI that a program has opened by itself, python's ctypes above all.
TEST_F(MpiPreload, WhoAsksALibrarysHandleForMpiGetsTheGatedFunctions) {
    const Ran built =
        run("cc " GRL_SOURCE "/tests/programs/mpi_asks.c -o " + folder_ + "/program 2>&1");
    ASSERT_EQ(built.status, 0) << built.output;
    const std::string library = std::filesystem::absolute(".libs/libgrl_mpi.so");
    const std::string command = " timeout 60 " + folder_ + "/program libmpi.so.40 2>&1 </dev/null";
    const Ran ran = run("LD_PRELOAD=" + library + command);
    EXPECT_EQ(ran.status, 0);
    std::string ours = ran.output;
    EXPECT_NE(ours.find("MPI_Init: libgrl_mpi.so\nPMPI_Put: libgrl_mpi.so\nMPI_Put: libgrl_mpi.so\n"),
              std::string::npos)
        << ours;
    EXPECT_NE(ours.find("MPI_Get_version: libmpi.so.40"), std::string::npos) << ours;
    EXPECT_NE(ours.find("MPI_Finalize: libgrl_mpi.so"), std::string::npos) << ours;
}

TEST_F(MpiPreload, AShimThatAsksForTheNextFunctionGetsTheGatedOne) {
    ASSERT_NO_FATAL_FAILURE(build_library("shim"));
    ASSERT_NO_FATAL_FAILURE(build("-lshim"));
    Ran ran = with_preload();
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, "next: libgrl_mpi.so\n");
    ASSERT_NO_FATAL_FAILURE(build(""));
    ran = with_preload(folder_ + "/libshim.so");
    EXPECT_EQ(ran.status, 0);
    EXPECT_EQ(ran.output, "next: libgrl_mpi.so\n");
}

}  // namespace
