// What is begun from inside a protected step finds what it would find without GRL.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>

#include "grl/page/line_page.h"
#include "spank/inherited.h"

namespace {

constexpr const char* kLibrary = "/usr/lib/grl/libgrl_mpi.so";

struct Inherited : testing::Test {
    void SetUp() override { TearDown(); }
    void TearDown() override {
        for (const char* name :
             {GRL_FENCE_ENV, GRL_YIELD_ENV, GRL_PAGE_ENV, GRL_AGENT_ENV, GRL_PRELOAD_ENV,
              GRL_SET_RECORD GRL_FENCE_ENV, GRL_WAS_RECORD GRL_FENCE_ENV,
              GRL_SET_RECORD GRL_YIELD_ENV, GRL_WAS_RECORD GRL_YIELD_ENV})
            unsetenv(name);
    }
    static std::string value(const char* name) {
        const char* text = getenv(name);
        return text != nullptr ? text : "(unset)";
    }
    static std::string preload_after(const char* list) {
        setenv(GRL_PRELOAD_ENV, list, 1);
        grl_inherited_strip(kLibrary);
        return value(GRL_PRELOAD_ENV);
    }
};

TEST_F(Inherited, NamesAreTheRanks) {
    EXPECT_STREQ(GRL_PAGE_ENV, grl::kLinePageEnv);
    EXPECT_STREQ(GRL_AGENT_ENV, grl::kAgentLibraryEnv);
}

TEST_F(Inherited, WhatWasSetGoesWithItsRecord) {
    setenv(GRL_FENCE_ENV, "ring", 1);
    setenv(GRL_SET_RECORD GRL_FENCE_ENV, "ring", 1);
    setenv(GRL_WAS_RECORD GRL_FENCE_ENV, "tree", 1);
    setenv(GRL_YIELD_ENV, "1", 1);
    setenv(GRL_SET_RECORD GRL_YIELD_ENV, "1", 1);
    setenv(GRL_PAGE_ENV, "/run/grl/page", 1);
    setenv(GRL_AGENT_ENV, "/agent", 1);
    grl_inherited_strip(kLibrary);
    EXPECT_EQ(value(GRL_FENCE_ENV), "tree");
    for (const char* gone :
         {GRL_YIELD_ENV, GRL_PAGE_ENV, GRL_AGENT_ENV, GRL_SET_RECORD GRL_FENCE_ENV,
          GRL_WAS_RECORD GRL_FENCE_ENV, GRL_SET_RECORD GRL_YIELD_ENV})
        EXPECT_EQ(value(gone), "(unset)") << gone;
}

TEST_F(Inherited, WhatTheUserHasSetStays) {
    setenv(GRL_FENCE_ENV, "tree", 1);  // nobody's record
    setenv(GRL_YIELD_ENV, "0", 1);     // changed since
    setenv(GRL_SET_RECORD GRL_YIELD_ENV, "1", 1);
    grl_inherited_strip(kLibrary);
    EXPECT_EQ(value(GRL_FENCE_ENV), "tree");
    EXPECT_EQ(value(GRL_YIELD_ENV), "0");
}

TEST_F(Inherited, OnlyTheOneLibraryLeavesThePreloads) {
    const std::string own = kLibrary;
    EXPECT_EQ(preload_after(kLibrary), "(unset)");
    EXPECT_EQ(preload_after(("/a.so:" + own).c_str()), "/a.so");
    EXPECT_EQ(preload_after((own + ":/a.so").c_str()), "/a.so");
    EXPECT_EQ(preload_after(("/a.so " + own + ":/b.so").c_str()), "/a.so:/b.so");
    EXPECT_EQ(preload_after("/a.so /b.so"), "/a.so /b.so");
    EXPECT_EQ(preload_after((own + ".2:/a.so").c_str()), own + ".2:/a.so");
    EXPECT_EQ(preload_after(""), "");
}

TEST_F(Inherited, NoPreloadOfTheSitesIsNoReasonToTouchTheList) {
    setenv(GRL_PRELOAD_ENV, "/a.so", 1);
    grl_inherited_strip("");
    EXPECT_EQ(value(GRL_PRELOAD_ENV), "/a.so");
    grl_inherited_strip(nullptr);
    EXPECT_EQ(value(GRL_PRELOAD_ENV), "/a.so");
}

}  // namespace
