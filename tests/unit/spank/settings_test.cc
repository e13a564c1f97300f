// What users and sites have set of PMIx and Open MPI is read as those read it, and what cannot work
// is refused with its place and the remedy.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "grl/mca/settings.h"
#include "spank/settings.h"

namespace {

using Variables = std::map<std::string, std::string>;

bool look(void* context, const char* name, char* value, size_t size) {
    const auto& variables = *static_cast<const Variables*>(context);
    const auto found = variables.find(name);
    if (found == variables.end() || found->second.size() >= size) return false;
    std::strcpy(value, found->second.c_str());
    return true;
}

struct Settings : testing::Test {
    void SetUp() override {
        if (mkdtemp(folder.data()) == nullptr) std::abort();
        folder = std::filesystem::absolute(folder);
        variables["HOME"] = folder;
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    std::string file(const std::string& name, const std::string& text) const {
        const auto path = std::filesystem::path(folder) / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path;
    }
    // "value @ where", or nothing.
    std::string find(const grl_mca_library& library, const char* name) {
        grl_mca_setting found;
        if (!grl_mca_find(&library, name, look, &variables, &found)) return {};
        return std::string(found.value) + " @ " + found.where;
    }
    std::string refusal(std::uint32_t nodes = 2) {
        std::array<char, 640> why{};
        return grl_settings_allow(look, &variables, nodes, why.data(), why.size()) ? ""
                                                                                   : why.data();
    }

    std::string folder = "settings.XXXXXX";
    Variables variables;
};

TEST_F(Settings, TheEnvironmentCountsBeforeTheFiles) {
    const std::string mine = file(".openmpi/mca-params.conf", "osc = sm\nbtl = self\n");
    EXPECT_EQ(find(grl_mca_open_mpi, "osc"), "sm @ " + mine);
    variables["OMPI_MCA_osc"] = "rdma";
    EXPECT_EQ(find(grl_mca_open_mpi, "osc"), "rdma @ OMPI_MCA_osc");
    EXPECT_EQ(find(grl_mca_open_mpi, "grl_no_such_setting"), "");
}

// ompi_info of 4.1.4 says the same of each of these files.
TEST_F(Settings, AFileIsReadAsOpenMpiReadsIt) {
    const std::string mine = file(".openmpi/mca-params.conf",
                                  "# osc = no\nosc two\nosc = one\n  osc\t=\tfive  \nbtl=a#b\n"
                                  "pml = 'q w' # c\n");
    EXPECT_EQ(find(grl_mca_open_mpi, "osc"), "five @ " + mine);
    EXPECT_EQ(find(grl_mca_open_mpi, "btl"), "a#b @ " + mine);
    EXPECT_EQ(find(grl_mca_open_mpi, "pml"), "'q w' # c @ " + mine);
}

TEST_F(Settings, OtherFilesMayBeNamedAndTheFirstCounts) {
    file(".openmpi/mca-params.conf", "osc = home\n");
    const std::string x = file("x", "osc = one\n");
    const std::string y = file("y", "osc = two\nbtl = self\n");
    variables["OMPI_MCA_mca_base_param_files"] = x + "," + y;
    EXPECT_EQ(find(grl_mca_open_mpi, "osc"), "one @ " + x);
    EXPECT_EQ(find(grl_mca_open_mpi, "btl"), "self @ " + y);
    variables["OMPI_MCA_mca_base_param_files"] = "none";
    EXPECT_EQ(find(grl_mca_open_mpi, "osc"), "");
}

TEST_F(Settings, AFileThatWouldHoldTheReaderUpIsNone) {
    std::filesystem::create_directories(folder + "/.pmix");
    ASSERT_EQ(mkfifo((folder + "/.pmix/mca-params.conf").c_str(), 0600), 0);
    EXPECT_EQ(find(grl_mca_pmix, "gds"), "");
    std::filesystem::remove(folder + "/.pmix/mca-params.conf");
    std::filesystem::create_symlink("/dev/zero", folder + "/.pmix/mca-params.conf");
    EXPECT_EQ(find(grl_mca_pmix, "gds"), "");
    std::filesystem::remove(folder + "/.pmix/mca-params.conf");
    file(".pmix/mca-params.conf", std::string(300'000, '\n') + "gds = hash\n");
    EXPECT_EQ(find(grl_mca_pmix, "gds"), "");
}

TEST(McaList, NamesComponentsOrAllButThem) {
    EXPECT_TRUE(grl_mca_list_has("ds21,hash", "ds21"));
    EXPECT_TRUE(grl_mca_list_has("hash,ds21", "ds21"));
    EXPECT_FALSE(grl_mca_list_has("hash", "ds21"));
    EXPECT_FALSE(grl_mca_list_has("ds212,ds2", "ds21"));
    EXPECT_TRUE(grl_mca_list_has("^hash", "ds21"));
    EXPECT_FALSE(grl_mca_list_has("^hash,ds21", "ds21"));
    EXPECT_TRUE(grl_mca_list_has("", "ds21"));
}

TEST(McaSwitch, HasSixWordsForNo) {
    for (const char* no : {"0", "f", "false", "False", "n", "no", "disabled"})
        EXPECT_TRUE(grl_mca_is_false(no)) << no;
    for (const char* yes : {"1", "t", "true", "y", "yes", "enabled", "00"})
        EXPECT_FALSE(grl_mca_is_false(yes)) << yes;
}

TEST_F(Settings, NothingSetIsAllowed) {
    EXPECT_EQ(refusal(), "");
    for (const char* store : {"ds21", "ds21,hash", "ds12,hash", "^ds12", "^hash", "shmem2,hash"}) {
        variables["PMIX_MCA_gds"] = store;
        EXPECT_EQ(refusal(), "") << store;
    }
}

TEST_F(Settings, AStoreWithoutPeersValuesIsRefused) {
    for (const char* store : {"hash", "^ds12,ds21", "^ds21,ds12", "^hash,ds12,ds21"}) {
        variables["PMIX_MCA_gds"] = store;
        EXPECT_EQ(refusal(), "PMIX_MCA_gds=" + std::string(store) +
                                 " leaves PMIx no store in which a rank finds what the others "
                                 "say: unset it");
        EXPECT_NE(refusal(1), "") << "ranks of one node meet in a fence, too";
    }
}

TEST_F(Settings, AStoreThatAFileChoosesIsRefusedWithTheFile) {
    const std::string mine = file(".pmix/mca-params.conf", "gds = hash\n");
    EXPECT_EQ(refusal(), mine +
                             ": gds = hash leaves PMIx no store in which a rank finds what the "
                             "others say: remove that line, or add ds21");
    variables["PMIX_MCA_gds"] = "ds21";
    EXPECT_EQ(refusal(), "");
}

TEST_F(Settings, DirectConnectionsThatAreOffAreRefusedBetweenNodes) {
    for (const char* off : {"false", "False", "no", "0"}) {
        variables["SLURM_PMIX_DIRECT_CONN"] = off;
        EXPECT_EQ(refusal(), "SLURM_PMIX_DIRECT_CONN=" + std::string(off) +
                                 " turns off the direct connections of Slurm's PMIx, without which "
                                 "no fence waits for all nodes: unset it");
        EXPECT_EQ(refusal(1), "");
    }
    for (const char* on : {"true", "yes", "1", "perhaps"}) {
        variables["SLURM_PMIX_DIRECT_CONN"] = on;
        EXPECT_EQ(refusal(), "") << on;
    }
}

TEST(MpiConf, DirectConnectionsThatAreOffAreTheAdministrators) {
    char why[640] = "";
    EXPECT_TRUE(grl_settings_allow_conf(nullptr, 2, why, sizeof why));
    for (const char* good :
         {"", "\n\n", "\nPMIxDirectConn          = yes\nPMIxDirectConnUCX = no\n",
          "PMIxDirectConnEarly = no", "PMIxDirectConn"})
        EXPECT_TRUE(grl_settings_allow_conf(good, 2, why, sizeof why)) << good;
    const char* off =
        "\n\nPMIxCliTmpDirBase       = (null)\nPMIxDirectConn          = no\nPMIxDebug = 0\n";
    EXPECT_TRUE(grl_settings_allow_conf(off, 1, why, sizeof why));
    EXPECT_FALSE(grl_settings_allow_conf(off, 2, why, sizeof why));
    EXPECT_NE(std::strstr(why, "mpi.conf"), nullptr) << why;
    EXPECT_EQ(std::strstr(why, "unset"), nullptr) << why;
}

}  // namespace
