// What users and sites write is read as documented, and everything else is one clear line.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "spank/arguments.h"
#include "spank/helper.h"
#include "spank/master_options.h"
#include "spank/wish.h"

namespace grl {
namespace {

TEST(Wish, ReadsItsThreeAnswers) {
    grl_wish wish{GRL_UNSET, 7};
    EXPECT_TRUE(grl_wish_parse(nullptr, &wish));
    EXPECT_EQ(wish.answer, GRL_YES);
    EXPECT_EQ(wish.every_s, 0U);
    for (const char* none : {"", "(null)", "on-demand"}) {
        EXPECT_TRUE(grl_wish_parse(none, &wish)) << none;
        EXPECT_EQ(wish.every_s, 0U);
    }
    EXPECT_TRUE(grl_wish_parse("300", &wish));
    EXPECT_EQ(wish.answer, GRL_YES);
    EXPECT_EQ(wish.every_s, 300U);
    EXPECT_TRUE(grl_wish_parse("no", &wish));
    EXPECT_EQ(wish.answer, GRL_NO);
}

TEST(Wish, RefusesWhatItIsNotAndKeepsTheOld) {
    grl_wish wish{GRL_YES, 9};
    for (const char* bad : {"0", "-1", "+5", " 5", "5s", "31536001", "99999999999999999999", "yes",
                            "ondemand", "No", "1.5", "0x10"}) {
        EXPECT_FALSE(grl_wish_parse(bad, &wish)) << bad;
        EXPECT_EQ(wish.every_s, 9U);
    }
}

TEST(Wish, FormatIsWhatParseReads) {
    for (const char* text : {"no", "on-demand", "1", "31536000"}) {
        grl_wish wish{GRL_UNSET, 0};
        ASSERT_TRUE(grl_wish_parse(text, &wish));
        char again[32];
        grl_wish_format(wish, again, sizeof again);
        EXPECT_STREQ(again, text);
    }
}

TEST(Decision, GoesToEveryNodeUnchanged) {
    for (const grl_decision sent : {grl_decision{false, false, 0}, grl_decision{true, true, 0},
                                    grl_decision{true, false, 86400}}) {
        char text[32];
        grl_decision_format(sent, text, sizeof text);
        grl_decision got{};
        ASSERT_TRUE(grl_decision_parse(text, &got)) << text;
        EXPECT_EQ(got.protect, sent.protect);
        EXPECT_EQ(got.asked, sent.asked);
        EXPECT_EQ(got.every_s, sent.every_s);
    }
}

TEST(Decision, RefusesWhatSrunNeverWrites) {
    grl_decision decision{};
    for (const char* bad : {"", "yes", "asked", "asked:", "asked:x", "site:-1", "other:5", "no "}) {
        EXPECT_FALSE(grl_decision_parse(bad, &decision)) << bad;
    }
}

struct Arguments : testing::Test {
    grl_arguments read{};
    char why[640] = "";
    bool parse(std::vector<const char*> words) {
        return grl_arguments_parse(static_cast<int>(words.size()),
                                   const_cast<char* const*>(words.data()), &read, why, sizeof why);
    }
};

TEST_F(Arguments, HaveDefaults) {
    ASSERT_TRUE(parse({}));
    EXPECT_EQ(read.coordinator, nullptr);
    EXPECT_EQ(read.munge_socket, nullptr);
    EXPECT_EQ(read.site_wish.answer, GRL_UNSET);
    EXPECT_EQ(read.deadline_s, 5U);
    EXPECT_EQ(read.tree_width, 50U);
    EXPECT_NE(strstr(read.master, "/grl-master"), nullptr);
    EXPECT_NE(strstr(read.agent, "/libgrl_agent.so"), nullptr);
}

TEST_F(Arguments, AreAllRead) {
    ASSERT_TRUE(parse({"coordinator=ctl:7410", "default=120", "munge_socket=/m", "master=/a/b",
                       "agent=/c", "mpi=/e", "log=/d", "deadline=9", "tree_width=16"}))
        << why;
    EXPECT_STREQ(read.coordinator, "ctl:7410");
    EXPECT_EQ(read.site_wish.answer, GRL_YES);
    EXPECT_EQ(read.site_wish.every_s, 120U);
    EXPECT_STREQ(read.munge_socket, "/m");
    EXPECT_STREQ(read.master, "/a/b");
    EXPECT_STREQ(read.agent, "/c");
    EXPECT_STREQ(read.mpi, "/e");
    EXPECT_STREQ(read.log, "/d");
    EXPECT_EQ(read.deadline_s, 9U);
    EXPECT_EQ(read.tree_width, 16U);
}

TEST_F(Arguments, UnknownOnesAreNamed) {
    for (const char* bad : {"coord=ctl:7410", "coordinators=ctl:1", "debug", "=", ""}) {
        EXPECT_FALSE(parse({"coordinator=ctl:7410", bad})) << bad;
        EXPECT_NE(strstr(why, "unknown argument"), nullptr) << why;
        EXPECT_NE(strstr(why, bad), nullptr) << why;
    }
}

TEST_F(Arguments, BadValuesAreNamedWithWhatIsWanted) {
    for (const char* bad :
         {"coordinator", "coordinator=", "coordinator=ctl", "coordinator=:7410",
          "coordinator=ctl:0", "coordinator=ctl:65536", "coordinator=ctl:7x",
          "default=", "default=often", "munge_socket=m", "master=grl-master", "deadline=0",
          "deadline=61", "deadline=-1", "tree_width=1", "agent=", "mpi=e"}) {
        EXPECT_FALSE(parse({bad})) << bad;
        EXPECT_NE(strstr(why, "wanted"), nullptr) << why;
    }
}

TEST_F(Arguments, ADefaultNeedsACoordinator) {
    EXPECT_FALSE(parse({"default=on-demand"}));
    EXPECT_NE(strstr(why, "coordinator"), nullptr) << why;
    EXPECT_TRUE(parse({"default=no"}));
    EXPECT_TRUE(parse({"default=on-demand", "coordinator=c:1"}));
}

TEST_F(Arguments, ALongListStaysInItsBounds) {
    const std::string wide(4000, 'x');
    EXPECT_FALSE(parse({wide.c_str()}));
    EXPECT_LT(strlen(why), sizeof why);
}

Result<MasterOptions> options(std::vector<const char*> words) {
    words.insert(words.begin(), "grl-master");
    return parse_master_options(static_cast<int>(words.size()), words.data());
}

TEST(MasterOptions, OfAStepAreRead) {
    auto o = options({"--node=g1", "--coordinator=ctl:7410", "--munge-socket=/m", "--page=/p",
                      "--log=/l", "--job=7", "--step=2", "--node-count=3", "--ranks=6",
                      "--local-ranks=2", "--uid=1000", "--every=60", "--limit-ms=4500"});
    ASSERT_TRUE(o) << o.error().text();
    EXPECT_EQ(o->coordinator.port, 7410);
    EXPECT_EQ(o->facts.node, "g1");
    EXPECT_EQ(o->facts.ranks, 6U);
    EXPECT_EQ(o->facts.local_ranks, 2U);
    EXPECT_EQ(o->facts.every_s, 60U);
    EXPECT_EQ(o->limit.count(), 4500);
    EXPECT_FALSE(o->check);
}

TEST(MasterOptions, OfACheckAreRead) {
    auto o = options({"--check", "--coordinator", "ctl:7410", "--munge-socket", "", "--job", "7",
                      "--step", "0", "--nodes", "g1,g2,g10"});
    ASSERT_TRUE(o) << o.error().text();
    EXPECT_TRUE(o->check);
    EXPECT_EQ(o->node_list, (std::vector<std::string>{"g1", "g2", "g10"}));
}

TEST(MasterOptions, BadOnesAreRefused) {
    const std::vector<std::vector<const char*>> all = {
        {},
        {"--coordinator=ctl"},
        {"--coordinator=c:1", "--job=1", "--check"},
        {"--coordinator=c:1", "--job=-1", "--check", "--nodes=a"},
        {"--coordinator=c:1", "--job=4294967296", "--check", "--nodes=a"},
        {"--coordinator=c:1", "--job=1", "--check", "--nodes=a", "--odd"},
        {"--coordinator=c:1", "--job=1", "--check", "--nodes=a", "word"},
        {"--coordinator=c:1", "--job=1", "--node=g1", "--page=p", "--node-count=1", "--ranks=1",
         "--local-ranks=1"},
        {"--coordinator=c:1", "--job=1", "--node=g1", "--page=/p", "--node-count=1", "--ranks=1",
         "--local-ranks=2"},
        {"--coordinator=c:1", "--job=1", "--node=g1", "--page=/p", "--node-count=1", "--ranks=9999",
         "--local-ranks=9999"},
    };
    for (const auto& words : all) EXPECT_FALSE(options(words)) << testing::PrintToString(words);
}

// The helper is what stands between srun or slurmstepd and grl-master.
grl_answer_line shell(const char* script, int limit_ms = 5000, int life = -1) {
    grl_command command{};
    for (const char* word : {"/bin/sh", "-c", script}) grl_command_add_word(&command, word);
    return grl_helper_run(&command, life, limit_ms);
}

TEST(Helper, ReadsTheAnswer) {
    EXPECT_TRUE(shell("echo ready >&3").ready);
    const auto refused = shell("printf 'refused: no room\\033[1m\\n' >&3; exit 1");
    EXPECT_FALSE(refused.ready);
    EXPECT_STREQ(refused.text, "no room [1m");
}

TEST(Helper, TellsAStepThatCanOnlyRunBesideAnother) {
    const auto beside = shell("echo beside: step 7.0 is protected >&3");
    EXPECT_FALSE(beside.ready);
    EXPECT_TRUE(beside.beside);
    EXPECT_STREQ(beside.text, "step 7.0 is protected");
    EXPECT_FALSE(shell("echo refused: no >&3").beside);
}

TEST(Helper, TellsOfAProgramThatDoesNotAnswer) {
    EXPECT_STREQ(shell("exit 3").text, "/bin/sh ended without an answer");
    EXPECT_STREQ(shell("echo nonsense >&3").text, "/bin/sh ended without an answer");
    EXPECT_STREQ(shell("sleep 30", 100).text, "/bin/sh did not answer within 100 ms");
    grl_command command{};
    grl_command_add(&command, "/%s", "nonexistent");
    const auto none = grl_helper_run(&command, -1, 1000);
    EXPECT_STREQ(none.text, "cannot run /nonexistent: No such file or directory");
}

TEST(Helper, BoundsALongAnswer) {
    const auto answer = shell("printf 'refused: '; head -c 5000 /dev/zero | tr '\\0' x >&3");
    EXPECT_FALSE(answer.ready);
    EXPECT_LT(strlen(answer.text), sizeof answer.text);
}

TEST(Helper, RunsNoCommandThatWasCutShort) {
    const std::string wide(5000, 'x');
    grl_command command{};
    grl_command_add(&command, "/bin/true");
    grl_command_add(&command, "%s", wide.c_str());
    EXPECT_NE(strstr(grl_helper_run(&command, -1, 1000).text, "too long"), nullptr);
}

TEST(Helper, GivesTheChildNothingElse) {
    const int stray = fcntl(1, F_DUPFD, 20);  // not closed on exec
    ASSERT_GT(stray, 0);
    const std::string script = "[ -e /proc/$$/fd/" + std::to_string(stray) +
                               " ] && echo refused: inherited >&3 || echo ready >&3";
    const auto answer = shell(script.c_str());
    close(stray);
    EXPECT_TRUE(answer.ready) << answer.text;
}

TEST(Helper, LifePipeEndsWithTheCaller) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    int seen[2];
    ASSERT_EQ(pipe(seen), 0);
    // A daemon that says on the life pipe's end that it saw it: by closing what it wrote to.
    const std::string script = "(read x <&4; echo over > /proc/" + std::to_string(getpid()) +
                               "/fd/" + std::to_string(seen[1]) + ") & echo ready >&3";
    EXPECT_TRUE(shell(script.c_str(), 5000, ends[0]).ready);
    close(ends[0]);
    close(ends[1]);
    char text[8] = "";
    EXPECT_EQ(read(seen[0], text, sizeof text), 5);
    close(seen[0]);
    close(seen[1]);
}

// The program itself, as `make check` finds it. Nobody listens at the discard port.
TEST(MasterProgram, EndsWithItsLifePipeAndRemovesThePage) {
    if (access("./grl-master", X_OK) != 0) GTEST_SKIP() << "no ./grl-master here";
    const std::string page = "/dev/shm/grl-test-life-" + std::to_string(getpid());
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
    grl_command command{};
    for (const char* word :
         {"./grl-master", "--coordinator=127.0.0.1:9", "--job=1", "--node=g1", "--node-count=1",
          "--ranks=1", "--local-ranks=1", "--limit-ms=20000", "--log=/dev/null"}) {
        grl_command_add_word(&command, word);
    }
    grl_command_add(&command, "--uid=%u", getuid());
    grl_command_add(&command, "--page=%s", page.c_str());
    std::thread ender([&] {
        for (int i = 0; i < 500 && access(page.c_str(), F_OK) != 0; ++i) usleep(10'000);
        EXPECT_EQ(access(page.c_str(), F_OK), 0);
        close(ends[1]);
    });
    const auto answer = grl_helper_run(&command, ends[0], 15000);
    ender.join();
    close(ends[0]);
    EXPECT_STREQ(answer.text, "./grl-master ended without an answer");
    for (int i = 0; i < 100 && access(page.c_str(), F_OK) == 0; ++i) usleep(10'000);
    EXPECT_NE(access(page.c_str(), F_OK), 0);
}

TEST(MasterProgram, RefusesWithinItsLimit) {
    if (access("./grl-master", X_OK) != 0) GTEST_SKIP() << "no ./grl-master here";
    for (const char* mode : {"--check", "--every=0"}) {
        grl_command command{};
        for (const char* word : {"./grl-master", mode, "--coordinator=127.0.0.1:9", "--job=1",
                                 "--node=g1", "--nodes=g1", "--node-count=1", "--ranks=1",
                                 "--local-ranks=1", "--limit-ms=300", "--log=/dev/null"}) {
            grl_command_add_word(&command, word);
        }
        grl_command_add(&command, "--uid=%u", getuid());
        grl_command_add(&command, "--page=/dev/shm/grl-test-refuse-%d", getpid());
        int ends[2];
        ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
        const auto answer = grl_helper_run(&command, ends[0], 15000);
        close(ends[0]);
        close(ends[1]);
        EXPECT_FALSE(answer.ready);
        EXPECT_NE(strstr(answer.text, "Connection refused"), nullptr) << answer.text;
    }
}

}  // namespace
}  // namespace grl
