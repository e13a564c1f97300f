// Programs that are linked as grl-config says: every call goes through a wrapper of ours, in C and
// in Fortran, with Open MPI and with MPICH, and the programs run as without us.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "grl/page/line_page.h"
#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

const std::string kPrograms = GRL_SOURCE "/tests/programs/";
const std::string kOpenMpiRun =
    "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 timeout 60 mpiexec.openmpi "
    "--oversubscribe ";

struct Folder {
    std::string path = "armci_link.XXXXXX";
    Folder() {
        if (mkdtemp(path.data()) == nullptr) std::abort();
        path = std::filesystem::absolute(path);
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

class ArmciLink : public testing::Test {
  protected:
    void SetUp() override { unsetenv(kLinePageEnv); }

    std::string program(const std::string& name) const { return folder_.path + "/" + name; }

    static std::string line(const std::string& options = "") {
        return first_line("./grl-config --libs --libdir=. " + options + " armci");
    }

    static bool have(const std::string& command) {
        return run("command -v " + command).status == 0;
    }

    static void succeeds(const std::string& command) {
        const Ran ran = run("{ " + command + "; } 2>&1");
        ASSERT_EQ(ran.status, 0) << command << "\n" << ran.output;
    }

    Folder folder_;
};

#define ASSERT_RUNS(command) ASSERT_NO_FATAL_FAILURE(succeeds(command))

// Of the program's code that is neither ARMCI's nor ours: what it calls past our wrappers.
Names calls_past_us(const std::string& program, const std::string& library) {
    Names inside;
    for (const auto& [name, letters] : symbols(library))
        if (letters.find_first_of("TtWw") != std::string::npos) inside.insert(name);
    Names past, wrapped;
    for (const ArmciRow& row : armci_table())
        if (row.wrapped) wrapped.insert(row.name);
    std::istringstream lines(
        run("objdump -d --no-show-raw-insn " + program + " | grep -E '^[0-9a-f]+ <|(call|jmp) '")
            .output);
    std::string caller;
    for (std::string line; std::getline(lines, line);) {
        const std::size_t begin = line.find('<'), end = line.find_first_of(">@+");
        if (begin == std::string::npos || end == std::string::npos) continue;
        const std::string name = line.substr(begin + 1, end - begin - 1);
        if (line.ends_with(">:"))
            caller = name;
        else if (wrapped.contains(name) && !inside.contains(caller) && caller != "__wrap_" + name)
            past.insert(caller + " calls " + name);
    }
    return past;
}

void expect_interposed(const std::string& program, const std::string& library) {
    const auto letters = symbols(program);
    const auto letter = [&](const std::string& name) {
        const auto found = letters.find(name);
        return found == letters.end() ? std::string("none") : found->second;
    };
    Names not_ours;
    for (const ArmciRow& row : armci_table()) {
        if (!row.interposed()) continue;
        // The library's own is weak.
        const std::string name = row.wrapped ? "__wrap_" + row.name : row.name;
        if (letter(name) != "T" && letter(name) != "t") not_ours.insert(name);
    }
    EXPECT_EQ(not_ours, Names());
    EXPECT_EQ(calls_past_us(program, library), Names());
}

TEST_F(ArmciLink, TheLineWrapsTheTablesRows) {
    Names asked, rows;
    std::istringstream words(line());
    for (std::string word; words >> word;)
        if (word.starts_with("-Wl,--wrap=")) asked.insert(word.substr(word.find('=') + 1));
    for (const ArmciRow& row : armci_table())
        if (row.wrapped) rows.insert(row.name);
    EXPECT_EQ(asked, rows);
}

TEST_F(ArmciLink, RefusesWhatItDoesNotKnow) {
    EXPECT_EQ(run("./grl-config --libs mpi 2>/dev/null").status, 2);
    EXPECT_EQ(run("./grl-config --libs 2>/dev/null").status, 2);
    EXPECT_EQ(run("./grl-config armci 2>/dev/null").status, 2);
    EXPECT_EQ(run("./grl-config --libs --mpi=other armci 2>/dev/null").status, 2);
    EXPECT_EQ(run("./grl-config --libs --static armci").output,
              run("./grl-config --libs armci").output);
    EXPECT_EQ(run("./grl-config --cflags armci").output, "\n");
}

TEST_F(ArmciLink, ACProgramCallsUs) {
    const std::string calls = program("calls");
    ASSERT_RUNS(GRL_MPICC " " + kPrograms + "armci_calls.c -o " + calls + " " + line());
    expect_interposed(calls, archive_path("libarmci-openmpi.a"));
    if (!have("mpiexec.openmpi")) GTEST_SKIP() << "mpiexec.openmpi is not installed: it is not run";
    ASSERT_RUNS(kOpenMpiRun + "-n 2 " + calls);
}

TEST_F(ArmciLink, AFortranProgramOverGlobalArraysCallsUsInAnyOrder) {
    const std::string config = archive_path("ga/openmpi/bin/ga-config");
    if (!have(config) || !have("mpifort.openmpi"))
        GTEST_SKIP() << "libglobalarrays-dev or Fortran is not installed";
    const std::string libs = first_line(config + " --libs"), rows = program("rows");
    const std::string compile =
        "mpifort.openmpi -fdefault-integer-8 " + kPrograms + "ga_calls.F -o " + rows + " ";
    for (const std::string& libraries : {line() + " " + libs, libs + " " + line()}) {
        ASSERT_RUNS(compile + libraries);
        expect_interposed(rows, archive_path("libarmci-openmpi.a"));
    }
    if (!have("mpiexec.openmpi")) GTEST_SKIP() << "mpiexec.openmpi is not installed: it is not run";
    ASSERT_RUNS(kOpenMpiRun + "-n 2 " + rows);
}

TEST_F(ArmciLink, AProgramOverMpichRuns) {
    if (!std::filesystem::exists("libgrl_armci_mpich.a")) GTEST_SKIP() << "built without MPICH";
    const std::string calls = program("calls");
    ASSERT_RUNS("mpicc.mpich " + kPrograms + "armci_calls.c -o " + calls + " " + line("--mpi=mpich"));
    expect_interposed(calls, archive_path("libarmci-mpich.a"));
    if (!have("mpiexec.hydra")) GTEST_SKIP() << "mpiexec.hydra is not installed: it is not run";
    ASSERT_RUNS("timeout 60 mpiexec.hydra -n 2 " + calls);
}

// What a call of this row is to tell the gate; none: it does not pass it.
CallClass expected(const ArmciRow& row) {
    if (row.kind == "local") return CallClass::none;
    if (row.kind == "collective" || row.kind == "message" || row.kind == "barrier")
        return CallClass::waiting;
    if (row.kind == "completion") return CallClass::completion;
    if (row.kind == "mutex")
        return row.name.find("Unlock") == std::string::npos ? CallClass::waiting
                                                            : CallClass::completion;
    return CallClass::one_sided;
}

// What each call told the gate, by function, from the log of one rank.
void add_classes(const std::string& log, std::map<std::string, std::set<unsigned>>& classes) {
    std::string called;
    unsigned last = 0;  // a call's own pass is its last: a lock may fence before
    std::ifstream lines(log);
    for (std::string word, value; lines >> word >> value;) {
        if (word == "pass") last = static_cast<unsigned>(std::stoul(value));
        if (word != "call") continue;
        classes[called].insert(last);
        called = value;
        last = 0;
    }
}

TEST_F(ArmciLink, EachCallPassesTheGateAsItsClass) {
    if (!have("mpiexec.openmpi")) GTEST_SKIP() << "mpiexec.openmpi is not installed";
    const std::string calls = program("calls"), agent = program("watcher.so"), log = program("log");
    ASSERT_RUNS(GRL_MPICC " " + kPrograms + "armci_calls.c -o " + calls + " " + line());
    ASSERT_RUNS("c++ -std=c++20 -shared -fPIC -I" GRL_SOURCE " " + kPrograms + "gate_watcher.cc -o " +
                agent);
    ASSERT_RUNS("GRL_LINE_PAGE=none GRL_AGENT_LIBRARY=" + agent + " ARMCI_CALLS_LOG=" + log + " " +
                kOpenMpiRun + "-n 2 " + calls);

    std::map<std::string, std::set<unsigned>> classes;
    add_classes(log + ".0", classes);
    add_classes(log + ".1", classes);
    for (const ArmciRow& row : armci_table()) {
        if (row.kind == "lifetime" || row.plain()) continue;
        if (row.name.starts_with("armci_msg_reduce")) continue;  // ARMCI-MPI has not written it
        if (row.kind == "local" && !classes.contains(row.name)) continue;
        EXPECT_EQ(classes[row.name], std::set{static_cast<unsigned>(expected(row))}) << row.name;
    }
}

}  // namespace
