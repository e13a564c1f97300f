// Configuration: what is not understood is refused with file and key.
#include "grl/base/config.h"

#include <gtest/gtest.h>

#include "grl/wire/handshake.h"

namespace grl {
namespace {

template <class Config>
std::string fault(const std::string& text) {
    auto config = parse_config<Config>(text, "file.toml");
    return config ? "" : config.error().text();
}

TEST(Config, DefaultsHoldWhereNothingIsSaid) {
    auto config = parse_config<CoordinatorConfig>("cluster = \"lab\"\n", "file.toml");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(config->cluster, "lab");
    EXPECT_EQ(config->coordinator.keep_lines, 2U);
    EXPECT_EQ(config->deadlines.drain_ms, 10'000U);
}

TEST(Config, UnknownKeyIsAnErrorWithItsPath) {
    EXPECT_EQ(fault<CoordinatorConfig>("[coordinator]\nkeep_line = 2\n"),
              "reading configuration (file.toml): unknown key coordinator.keep_line");
}

TEST(Config, WrongTypeIsAnErrorWithItsPath) {
    EXPECT_NE(fault<BridgeConfig>("[bridge]\nmemory_mib = \"much\"\n").find("bridge.memory_mib"),
              std::string::npos);
}

TEST(Config, BrokenTomlNamesTheLine) {
    EXPECT_NE(fault<BridgeConfig>("cluster = \"lab\"\n[bridge\n").find("line 2"),
              std::string::npos);
}

TEST(Config, DeadlinesMustWorkTogether) {
    EXPECT_EQ(deadlines_fault({}), "");
    Deadlines d;
    d.rejoin_ms = 0;
    EXPECT_EQ(deadlines_fault(d), "key deadlines.rejoin_ms: at least 1 ms is wanted");
    d = {};
    d.silence_failsafe_ms = 45'000;
    EXPECT_NE(deadlines_fault(d).find("silence_failsafe_ms: more than"), std::string::npos);
    d = {};
    d.freeze_ms = 30'000;
    d.silence_failsafe_ms = 100'000;
    EXPECT_NE(deadlines_fault(d).find("freeze_ms: less than 30000"), std::string::npos);
}

TEST(Config, GuestDefinitionReadsItsNics) {
    auto guest = parse_config<GuestDefinition>(
        "name=\"g1\"\nmemory_mib=256\n[qemu]\nnics=[{bridge=\"br\",mac=\"52:54:00:00:00:01\"}]\n",
        "g1.toml");
    ASSERT_TRUE(guest) << guest.error().text();
    ASSERT_EQ(guest->qemu.nics.size(), 1U);
    EXPECT_EQ(guest->qemu.nics[0].bridge, "br");
}

TEST(Config, MissingFileIsOneClearLine) {
    auto config = load_bridge_config("/nowhere/bridge.toml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().text(),
              "reading configuration (/nowhere/bridge.toml): No such file or directory");
}

TEST(Endpoint, TakesHostAndPortOnly) {
    EXPECT_EQ(parse_endpoint("control:7410")->port, 7410);
    EXPECT_EQ(parse_endpoint("10.0.0.1:1")->host, "10.0.0.1");
    for (const char* bad : {"", "control", ":1", "control:", "control:0", "control:65536",
                            "control:7x", "control:-1"}) {
        EXPECT_FALSE(parse_endpoint(bad)) << bad;
    }
}

}  // namespace
}  // namespace grl
