// The coordinator's configuration: what is not understood is refused with file and key.
#include "coordinator/config.h"

#include <gtest/gtest.h>

#include "grl/base/config.h"

namespace grl::coordinator {
namespace {

TEST(CoordinatorConfig, DefaultsHoldWhereNothingIsSaid) {
    auto config = parse_config<CoordinatorConfig>("cluster = \"lab\"\n", "file.toml");
    ASSERT_TRUE(config) << config.error().text();
    EXPECT_EQ(config->cluster, "lab");
    EXPECT_EQ(config->coordinator.keep_lines, 2U);
    EXPECT_EQ(config->deadlines.drain_ms, 10'000U);
}

TEST(CoordinatorConfig, UnknownKeyIsAnErrorWithItsPath) {
    auto config = parse_config<CoordinatorConfig>("[coordinator]\nkeep_line = 2\n", "file.toml");
    ASSERT_FALSE(config);
    EXPECT_EQ(config.error().text(),
              "reading configuration (file.toml): unknown key coordinator.keep_line");
}

TEST(CoordinatorConfig, DeadlinesMustWorkTogether) {
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
    d = {};
    d.commit_ms = 86'400'001;
    EXPECT_NE(deadlines_fault(d).find("commit_ms: at most a day"), std::string::npos);
}

}  // namespace
}  // namespace grl::coordinator
