// Configuration: what is not understood is refused with file and key. What each program reads is
// tested beside it.
#include "grl/base/config.h"

#include <gtest/gtest.h>

#include "grl/wire/handshake.h"

namespace grl {
namespace {

struct Nothing : Defaulted {};
BOOST_DESCRIBE_STRUCT(Nothing, (), ())

TEST(Config, BrokenTomlNamesTheLine) {
    auto config = parse_config<Nothing>("cluster = \"lab\"\n[bridge\n", "file.toml");
    ASSERT_FALSE(config);
    EXPECT_NE(config.error().text().find("line 2"), std::string::npos);
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
