// A hold of a real MPI program on two ranks, with the preload and the agent, and without Slurm:
// line_driver is the master. What is proven silent must not put.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

constexpr double kHold = 2;  // seconds

class MpiHeld : public testing::TestWithParam<std::string> {
  protected:
    void SetUp() override {
        if (run("command -v mpirun").status != 0) GTEST_SKIP() << "no mpirun";
        if (mkdtemp(folder_.data()) == nullptr) std::abort();
        folder_ = std::filesystem::absolute(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string folder_ = "mpi_held.XXXXXX";
};

TEST_P(MpiHeld, IsSilentForAsLongAsTheProofSaysSo) {
    const std::string libraries = std::filesystem::absolute(".libs/");
    std::ofstream(folder_ + "/rank") << "#!/bin/sh\n"
                                        "export SLURM_LOCALID=$OMPI_COMM_WORLD_LOCAL_RANK\n"
                                        "export GRL_LINE_PAGE=" + folder_ + "/page\n"
                                        "export GRL_AGENT_LIBRARY=" + libraries + "libgrl_agent.so\n"
                                        "export LD_PRELOAD=" + libraries + "libgrl_mpi.so\n"
                                        "exec tests/programs/mpi_throws 8 " + GetParam() + "\n";
    const Ran ran = run(
        "export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_osc=pt2pt\n"
        "timeout 150 tests/programs/line_driver --lines 1 --first-ms 1000 --grace-ms 2 --deadline-ms 30000 "
        "--hold-ms 2000 " + folder_ + "/page:2 >" + folder_ + "/driver 2>&1 &\n"
        "until grep -q ready " + folder_ + "/driver; do kill -0 $! || exit 9; sleep 0.1; done\n"
        "timeout 90 mpirun -n 2 --oversubscribe sh " + folder_ + "/rank 2>&1 </dev/null\n"
        "status=$?; wait $!; cat " + folder_ + "/driver; exit $status");
    EXPECT_EQ(ran.status, 0) << ran.output;
    EXPECT_NE(ran.output.find("\"proven\":1"), std::string::npos) << ran.output;
    const std::string words = "at least ";
    const std::size_t at = ran.output.find(words);
    ASSERT_NE(at, std::string::npos) << ran.output;
    EXPECT_GE(std::atof(ran.output.c_str() + at + words.size()), kHold * 0.95) << ran.output;
}

INSTANTIATE_TEST_SUITE_P(Left, MpiHeld, testing::Values("throw", "jump", "callback", "asked"),
                         [](const auto& how) { return how.param; });

}  // namespace
