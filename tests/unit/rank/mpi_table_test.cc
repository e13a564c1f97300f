// The tables of MPI functions against the installed mpi.h and the library: what a program can call
// must be in one of them, so that it was asked whether it passes the gate.
#include <gtest/gtest.h>

#include <regex>

#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

const Names& gated() {
    static const Names names = {
#define GRL_MPI(kind, name, parameters, arguments) "MPI_" #name,
#include "armci_patch/mpi_functions.def"
#undef GRL_MPI
    };
    return names;
}

std::map<std::string, std::string> ungated() {
    return {
#define GRL_MPI_UNGATED(why, name) {#name, #why},
#include "armci_patch/mpi_ungated.def"
#undef GRL_MPI_UNGATED
    };
}

Names declared() {
    const std::string text =
        run("echo '#include <mpi.h>' | " GRL_MPICC " -DOMPI_SKIP_MPICXX -E -P -x c - 2>/dev/null")
            .output;
    const std::regex declaration(R"(\b(MPI_\w+)\s*\()");
    Names names;
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at)
        names.insert((*at)[1]);
    return names;
}

// What the library that the compiler wrapper links exports under MPI's names.
Names exported() {
    const std::string library = first_line(
        "cc $(" GRL_MPICC " -shared -show | tr ' ' '\\n' | grep '^-L') -print-file-name=libmpi.so");
    std::istringstream lines(run("nm -D --defined-only '" + library + "' 2>/dev/null").output);
    const std::regex function(R"([TW] (MPIX?_\w+)$)");
    Names names;
    std::smatch match;
    for (std::string line; std::getline(lines, line);)
        if (std::regex_search(line, match, function)) names.insert(match[1]);
    return names;
}

TEST(MpiTable, EveryFunctionOfTheHeaderIsInOneTable) {
    const auto without = ungated();
    const Names names = declared();
    ASSERT_GT(names.size(), 300U) << "mpi.h of " GRL_MPICC;
    for (const std::string& name : names)
        EXPECT_EQ(gated().contains(name) + without.contains(name), 1U)
            << name << ": is it gated (mpi_functions.def), or why not (mpi_ungated.def)?";
    for (const std::string& name : gated()) EXPECT_TRUE(names.contains(name)) << name;
}

TEST(MpiTable, EveryFunctionOfTheLibraryIsInOneTable) {
    const auto without = ungated();
    const Names names = exported();
    ASSERT_GT(names.size(), 300U);
    for (const std::string& name : names)
        EXPECT_EQ(gated().contains(name) + without.contains(name), 1U)
            << name << ": is it gated (mpi_functions.def), or why not (mpi_ungated.def)?";
}

// By their names: what communicates is not put among the local ones by mistake.
TEST(MpiTable, NothingThatCommunicatesByItsNameIsUngated) {
    const std::regex communicates(
        R"(MPI_(I?(b|r|s)?send|I?m?recv|I?m?probe|R?(put|get|accumulate)(_accumulate)?|Fetch_and_op|)"
        R"(Compare_and_swap|(Wait|Test)(all|any|some)?|Start(all)?|I?(neighbor_)?)"
        R"((barrier|bcast|gatherv?|scatterv?|all(gatherv?|toall[vw]?|reduce)|alltoall[vw]?|reduce|)"
        R"(reduce_scatter(_block)?|scan|exscan)|Win_(flush|lock|unlock|fence|start|complete|post|wait).*))",
        std::regex::icase);
    int matching = 0;
    for (const std::string& name : gated()) matching += std::regex_match(name, communicates);
    EXPECT_GT(matching, 90);
    for (const auto& [name, why] : ungated()) EXPECT_FALSE(std::regex_match(name, communicates)) << name;
}

}  // namespace
