// The table of ARMCI functions against the installed library: what the library lets us interpose,
// the table must name.
#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <set>
#include <sstream>
#include <string>

namespace {

using Names = std::set<std::string>;

#define GRL_ARMCI(kind, type, name, pname, parameters, arguments, target) {#name, #pname, #kind},
const struct {
    std::string name, pname, kind;
} kTable[] = {
#include "armci_patch/armci_functions.def"
};
#undef GRL_ARMCI

const char* const kOurs = "libgrl_armci.a";  // in the build's folder, where tests run

std::string output(const std::string& command) {
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    char buffer[4096];
    while (pipe && std::fgets(buffer, sizeof buffer, pipe.get()) != nullptr) text += buffer;
    return text;
}

// Where the compiler finds it.
std::string armci_archive() {
    std::string path = output("cc -print-file-name=libarmci-openmpi.a");
    return path.substr(0, path.find('\n'));
}

// Symbols of an archive with the given nm letter.
Names symbols(const std::string& archive, const std::string& letter) {
    std::istringstream lines(output("nm -g " + archive + " 2>/dev/null"));
    Names names;
    for (std::string line; std::getline(lines, line);) {
        // The address is missing where the symbol is undefined.
        const std::size_t name = line.rfind(' ');
        if (name == std::string::npos || name < 1) continue;
        if (line.substr(name - letter.size(), letter.size()) == letter)
            names.insert(line.substr(name + 1));
    }
    return names;
}

TEST(ArmciTable, NamesEveryFunctionThatCanBeInterposed) {
    const Names weak = symbols(armci_archive(), "W");
    if (weak.empty()) GTEST_SKIP() << armci_archive() << " is not installed";
    const Names strong = symbols(armci_archive(), "T");
    Names known;
    for (const auto& row : kTable) {
        known.insert(row.name);
        EXPECT_TRUE(weak.contains(row.name)) << row.name << " is not in the library";
        EXPECT_TRUE(strong.contains(row.pname)) << row.pname << " is not in the library";
    }
    for (const std::string& name : weak)
        EXPECT_TRUE(known.contains(name)) << "armci_functions.def does not name " << name;
}

TEST(ArmciTable, HasAWrapperForEveryFunctionThatIsNotLocal) {
    const Names ours = symbols(kOurs, "T");
    ASSERT_FALSE(ours.empty()) << "make " << kOurs << " and run in its folder";
    for (const auto& row : kTable)
        EXPECT_EQ(ours.contains(row.name), row.kind != "local") << row.name;
}

TEST(ArmciTable, NeedsNoCxxRuntime) {
    for (const std::string& name : symbols(kOurs, "U"))
        EXPECT_FALSE(name.starts_with("_ZSt") || name.starts_with("__cxa")) << name;
}

}  // namespace
