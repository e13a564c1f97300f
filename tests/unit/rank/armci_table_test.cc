// The table of ARMCI functions against the installed library, its headers and Global Arrays: what
// a program can call, the table must name, and what it names must be interposed.
#include <gtest/gtest.h>

#include <regex>

#include "tests/unit/rank/armci_support.h"

using namespace grl;

namespace {

// In the build's folder, where tests run.
std::string ours(const std::string& mpi) {
    return mpi == "openmpi" ? "libgrl_armci.a" : "libgrl_armci_" + mpi + ".a";
}

std::vector<std::string> mpis() {
    std::istringstream words(GRL_MPIS);
    return {std::istream_iterator<std::string>(words), {}};
}

// Functions that armci.h, message.h and armcix.h declare, P-names among them.
Names declared() {
    const std::string text =
        run("echo '#include <armcix.h>' | " GRL_MPICC " -E -P -x c - 2>/dev/null").output;
    const std::regex declaration(R"(\b(P?ARMCIX?_\w+|p?armci_\w+)\s*\()");
    Names names;
    for (std::sregex_iterator at(text.begin(), text.end(), declaration), end; at != end; ++at)
        names.insert((*at)[1]);
    return names;
}

struct Known {
    Names callable, all;  // without and with P-names
    Known() {
        for (const ArmciRow& row : armci_table()) {
            EXPECT_TRUE(callable.insert(row.name).second) << row.name << " has two rows";
            all.insert(row.name);
            if (!row.pname.empty()) all.insert(row.pname);
        }
    }
};

// Not the API: no header has them, and their names are the library's own.
bool internal(const std::string& name) {
    for (const char* prefix : {"ARMCII_", "gmr_", "ctree_"})
        if (name.starts_with(prefix)) return true;
    return false;
}

class ArmciTable : public testing::TestWithParam<std::string> {};

TEST_P(ArmciTable, NamesEveryFunctionOfTheLibrary) {
    const std::string library = archive_path("libarmci-" + GetParam() + ".a");
    Names functions = symbols(library, 'T');
    const Names weak = symbols(library, 'W');
    ASSERT_FALSE(functions.empty()) << library << " is not installed";
    functions.insert(weak.begin(), weak.end());

    const Known known;
    const Names api = declared();
    for (const std::string& name : functions) {
        if (internal(name) && !api.contains(name)) continue;
        EXPECT_TRUE(known.all.contains(name)) << "armci_functions.def does not name " << name;
    }
    for (const ArmciRow& row : armci_table()) {
        EXPECT_EQ(functions.contains(row.name), row.kind != "absent") << row.name;
        EXPECT_EQ(weak.contains(row.name), !row.pname.empty()) << row.name << " and its P-name";
        EXPECT_TRUE(row.pname.empty() || functions.contains(row.pname)) << row.pname;
    }
}

TEST_P(ArmciTable, HasAWrapperForEveryFunctionThatNeedsOne) {
    const Names wrappers = symbols(ours(GetParam()), 'T');
    ASSERT_FALSE(wrappers.empty()) << "make " << ours(GetParam()) << " and run in its folder";
    for (const ArmciRow& row : armci_table()) {
        EXPECT_EQ(wrappers.contains("__wrap_" + row.name), row.wrapped) << row.name;
        EXPECT_EQ(wrappers.contains(row.name), row.interposed() && !row.wrapped) << row.name;
    }
}

TEST_P(ArmciTable, NamesWhatGlobalArraysCalls) {
    const std::string library = archive_path("libga-" + GetParam() + ".a");
    const auto letters = symbols(library);
    if (letters.empty()) GTEST_SKIP() << library << " is not installed";
    Names callable;
    for (const ArmciRow& row : armci_table())
        if (row.kind != "absent") callable.insert(row.name);
    int calls = 0;
    for (const auto& [name, letter] : letters) {
        if (!armci_name(name) || letter.find_first_not_of('U') != std::string::npos) continue;
        ++calls;
        EXPECT_TRUE(callable.contains(name)) << "armci_functions.def does not name " << name;
    }
    EXPECT_GT(calls, 0);
}

TEST_P(ArmciTable, NeedsNoCxxRuntime) {
    for (const std::string& name : symbols(ours(GetParam()), 'U'))
        EXPECT_FALSE(name.starts_with("_ZSt") || name.starts_with("__cxa")) << name;
}

INSTANTIATE_TEST_SUITE_P(Mpi, ArmciTable, testing::ValuesIn(mpis()),
                         [](const auto& mpi) { return mpi.param; });

TEST(ArmciHeaders, EveryFunctionIsInTheTable) {
    const Names api = declared();
    ASSERT_GT(api.size(), 100U);
    const Known known;
    for (const std::string& name : api)
        EXPECT_TRUE(known.all.contains(name)) << "armci_functions.def does not name " << name;
    for (const std::string& name : known.all)
        EXPECT_TRUE(api.contains(name)) << name << " is in no header";
}

}  // namespace
