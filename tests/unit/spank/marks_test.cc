// What a node's parts leave for each other is for one job, and for nobody to be led astray by.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "spank/launcher.h"
#include "spank/marks.h"

namespace {

struct Marks : testing::Test {
    void SetUp() override {
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        folder = std::filesystem::absolute(folder);
        directory = folder.c_str();
    }
    void TearDown() override { std::filesystem::remove_all(folder); }
    std::string folder = "marks.XXXXXX";
    const char* directory = nullptr;
};

TEST_F(Marks, ARestoreIsKnownToItsJobAlone) {
    EXPECT_FALSE(grl_is_restored(directory, "g1", 12));
    ASSERT_TRUE(grl_mark_restored(directory, "g1", 12));
    ASSERT_TRUE(grl_mark_restored(directory, "g1", 12));
    EXPECT_TRUE(grl_is_restored(directory, "g1", 12));
    EXPECT_FALSE(grl_is_restored(directory, "g1", 1));
    EXPECT_FALSE(grl_is_restored(directory, "g1", 121));
    EXPECT_FALSE(grl_is_restored(directory, "g2", 12));
    grl_unmark_restored(directory, "g1", 13);
    EXPECT_TRUE(grl_is_restored(directory, "g1", 12));
    ASSERT_TRUE(grl_mark_restored(directory, "g1", 7));
    EXPECT_FALSE(grl_is_restored(directory, "g1", 12));
    grl_unmark_restored(directory, "g1", 7);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(Marks, AMarkIsWrittenThroughNoLink) {
    std::ofstream(folder + "/victim") << "precious";
    std::filesystem::create_symlink(folder + "/victim", folder + "/restored-g1");
    EXPECT_FALSE(grl_mark_restored(directory, "g1", 12));
    EXPECT_EQ(std::filesystem::file_size(folder + "/victim"), 8U);
}

TEST_F(Marks, ABatchStepHearsOfAProtectedStep) {
    int reader = grl_job_listen(directory, "g1", 12, getuid());
    ASSERT_GE(reader, 0);
    EXPECT_FALSE(grl_job_was_noted(reader, directory, "g1", 12));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    reader = grl_job_listen(directory, "g1", 12, getuid());
    ASSERT_GE(reader, 0);
    for (int i = 0; i < 70'000; ++i) grl_job_note(directory, "g1", 12);  // never blocks
    EXPECT_TRUE(grl_job_was_noted(reader, directory, "g1", 12));
    EXPECT_TRUE(std::filesystem::is_empty(folder));
}

TEST_F(Marks, ALeftoverOfTheSameJobIsNoObstacle) {
    const int old = grl_job_listen(directory, "g1", 12, getuid());
    grl_job_note(directory, "g1", 12);
    const int reader = grl_job_listen(directory, "g1", 12, getuid());
    EXPECT_FALSE(grl_job_was_noted(reader, directory, "g1", 12));
    close(old);
}

TEST_F(Marks, TellingNobodyIsNothing) {
    grl_job_note(directory, "g1", 12);
    EXPECT_TRUE(std::filesystem::is_empty(folder));
    std::ofstream(folder + "/job-g1-12") << "a file";
    grl_job_note(directory, "g1", 12);
    EXPECT_EQ(std::filesystem::file_size(folder + "/job-g1-12"), 6U);
}

TEST(Launcher, IsKnownByItsName) {
    for (const char* name : {"mpirun", "orterun", "prterun", "prte", "mpirun.openmpi"})
        EXPECT_TRUE(grl_is_launcher(name)) << name;
    for (const char* name : {"", "bash", "srun", "mpirunner", "slurmstepd"})
        EXPECT_FALSE(grl_is_launcher(name)) << name;
}

TEST(Command, HasComponentsWhereAColonStandsAlone) {
    const auto has = [](const std::string& words) {
        return grl_words_have_components(words.data(), words.size());
    };
    using namespace std::string_literals;
    EXPECT_TRUE(has("srun\0a\0:\0b\0"s));
    EXPECT_FALSE(has("srun\0--x=:\0:a\0::\0"s));
    EXPECT_FALSE(has("srun\0a:"s));
    EXPECT_FALSE(has(""s));
    EXPECT_FALSE(grl_command_has_components());
}

// A parent that is called mpirun, with a child whose errors go nowhere.
TEST_F(Marks, ALaunchersOutputIsReachedFromAChildThatHasNone) {
    const std::string output = folder + "/output";
    const pid_t launcher = fork();
    if (launcher == 0) {
        std::ofstream("/proc/self/comm") << "orterun";
        const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        dup2(out, 2);
        const pid_t child = fork();
        if (child == 0) {
            const bool heard = grl_launcher_tell("no\n");  // it can be heard: not there
            dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
            _exit(!heard && grl_launcher_tell("said\n") ? 0 : 1);
        }
        int status = 1;
        waitpid(child, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    int status = 1;
    waitpid(launcher, &status, 0);
    EXPECT_EQ(status, 0);
    std::string said;
    std::getline(std::ifstream(output), said);
    EXPECT_EQ(said, "said");
}

}  // namespace
