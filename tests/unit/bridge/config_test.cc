// The bridge's configuration and the guests' definitions: what is not understood is refused with
// file and key.
#include "vmm_bridge/config.h"

#include <gtest/gtest.h>

#include "grl/base/config.h"
#include "tests/unit/bridge/support.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/qemu/section.h"
#include "vmm_bridge/xen/section.h"

namespace grl::bridge {
namespace {

TEST(BridgeConfig, WrongTypeIsAnErrorWithItsPath) {
    auto config = parse_config<BridgeConfig>("[bridge]\nmemory_mib = \"much\"\n", "file.toml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().text().find("bridge.memory_mib"), std::string::npos);
}

TEST(BridgeConfig, MissingFileIsOneClearLine) {
    auto config = load_bridge_config("/nowhere/bridge.toml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().text(),
              "reading configuration (/nowhere/bridge.toml): No such file or directory");
}

class GuestDefinitionTest : public testing::Test {
  protected:
    Result<GuestDefinition> load(const std::string& text) {
        write_text(path, text);
        return load_guest_definition(path, complete_sections);
    }
    std::string fault(const std::string& text) {
        auto guest = load(text);
        return guest ? "" : guest.error().text();
    }
    TemporaryDirectory directory;
    std::string path = directory.path + "/g1.toml";
};

TEST_F(GuestDefinitionTest, ReadsItsNics) {
    auto guest = load(
        "name=\"g1\"\nmemory_mib=256\n[qemu]\nnics=[{bridge=\"br\",mac=\"52:54:00:00:00:01\"}]\n");
    ASSERT_TRUE(guest) << guest.error().text();
    auto section = qemu_section(*guest);
    ASSERT_TRUE(section) << section.error().text();
    ASSERT_EQ(section->nics.size(), 1U);
    EXPECT_EQ(section->nics[0].bridge, "br");
}

TEST_F(GuestDefinitionTest, UnknownKeysAreRefusedWithFileAndKey) {
    const std::string begin = "reading configuration (" + path + "): ";
    EXPECT_EQ(fault("name=\"g1\"\nram=1\n"), begin + "unknown key ram");
    EXPECT_EQ(fault("name=\"g1\"\n[kvm]\na=1\n"), begin + "unknown key kvm");
    EXPECT_EQ(fault("name=\"g1\"\n[qemu]\nkernl=\"a\"\n"), begin + "unknown key qemu.kernl");
    EXPECT_EQ(fault("name=\"g1\"\n[xen]\nkernl=\"a\"\n"), begin + "unknown key xen.kernl")
        << "another driver's section, also where this build lacks it";
    EXPECT_EQ(fault("name=\"g1\"\n[qemu]\nnics=[{brigde=\"a\"}]\n"),
              begin + "unknown key qemu.nics[0].brigde");
}

TEST_F(GuestDefinitionTest, WrongTypesInASectionAreNamed) {
    const std::string begin = "reading configuration (" + path + "): ";
    EXPECT_EQ(fault("name=\"g1\"\nxen=3\n"), begin + "field xen: an object is wanted");
    EXPECT_EQ(fault("name=\"g1\"\n[qemu]\naccel=3\n"),
              begin + "field qemu.accel: a text is wanted");
    auto guest = load("name=\"g1\"\n[qemu]\naccel=3\n");
    ASSERT_FALSE(guest);
    EXPECT_EQ(guest.error().kind, ErrorKind::usage);
}

// Hosts of different releases compare them, and images name them.
TEST_F(GuestDefinitionTest, DigestsAndRecordsAreThoseOfEveryRelease) {
    auto qemu = load(
        "name=\"g1\"\naddress=\"10.0.0.1\"\nmemory_mib=256\n[qemu]\nkernel=\"/boot/vmlinuz\"\n"
        "nics=[{bridge=\"br\",mac=\"52:54:00:00:00:01\"}]\n");
    ASSERT_TRUE(qemu) << qemu.error().text();
    EXPECT_EQ(
        json::serialize(to_json(*qemu)),
        R"({"name":"g1","address":"10.0.0.1","driver":"qemu","memory_mib":256,"vcpus":1,)"
        R"("adapters":0,"qemu":{"accel":"tcg","machine":"pc-i440fx-7.2","cpu":"max,la57=off",)"
        R"("kernel":"/boot/vmlinuz","initrd":"","append":"","disk":"","nics":[{"bridge":"br",)"
        R"("mac":"52:54:00:00:00:01"}]},"xen":{"type":"pvh","kernel":"","initrd":"","append":"",)"
        R"("disk":"","nics":[]}})");
    EXPECT_EQ(definition_digest(*qemu), "90e6bb217ee65be18e6de6ce09de2f83");
    auto xen = load(
        "name=\"g1\"\naddress=\"10.0.0.1\"\ndriver=\"xen\"\nmemory_mib=192\nadapters=1\n[xen]\n"
        "kernel=\"/boot/vmlinux\"\nnics=[{mac=\"00:16:3e:00:00:0b\",bridge=\"xenbr0\"}]\n");
    ASSERT_TRUE(xen) << xen.error().text();
    EXPECT_EQ(definition_digest(*xen), "ed81cef52cf45f0d07d96df4d37a7be9");
}

}  // namespace
}  // namespace grl::bridge
