// Outstanding operations may be over-estimated, never under-estimated.
#include "armci_patch/outstanding.h"

#include <gtest/gtest.h>

namespace grl {
namespace {

class OutstandingTest : public testing::Test {
  protected:
    void SetUp() override { outstanding.open(4); }
    void TearDown() override { outstanding.close(); }
    Outstanding outstanding;
    armci_hdl_t a{}, b{};
};

TEST_F(OutstandingTest, AFenceCompletesOneTarget) {
    outstanding.wrote(1);
    outstanding.wrote(1);
    outstanding.wrote(2);
    outstanding.reads(1, nullptr);
    EXPECT_EQ(outstanding.fenced(1), 3u);
    EXPECT_EQ(outstanding.fenced(1), 0u);
    EXPECT_EQ(outstanding.fenced_all(), 1u);
}

TEST_F(OutstandingTest, AWaitCompletesNoWrite) {
    outstanding.wrote(1);
    outstanding.reads(1, &a);
    EXPECT_EQ(outstanding.waited(&a), 1u);
    EXPECT_EQ(outstanding.waited_all(), 0u);
    EXPECT_EQ(outstanding.fenced_all(), 1u);
}

TEST_F(OutstandingTest, AHandleCompletesOnlyItsOwnReads) {
    outstanding.reads(1, &a);
    outstanding.reads(1, &b);
    outstanding.reads(1, nullptr);
    EXPECT_EQ(outstanding.waited(&a), 1u);
    EXPECT_EQ(outstanding.waited(&a), 0u);
    EXPECT_EQ(outstanding.waited(1), 2u);
}

TEST_F(OutstandingTest, NothingIsCompletedTwice) {
    outstanding.reads(1, &a);
    EXPECT_EQ(outstanding.waited(1), 1u);
    outstanding.reads(1, &b);
    EXPECT_EQ(outstanding.waited(&a), 0u) << "it was complete before the wait on its target";
    EXPECT_EQ(outstanding.fenced_all(), 1u);
}

TEST_F(OutstandingTest, AnAggregateOverSeveralTargetsIsLeftToTheFence) {
    outstanding.reads(1, &a);
    outstanding.reads(2, &a);
    EXPECT_EQ(outstanding.waited(&a), 0u);
    EXPECT_EQ(outstanding.fenced_all(), 2u);
}

TEST_F(OutstandingTest, ATargetOutOfRangeIsLeftToTheFence) {
    outstanding.wrote(9);
    outstanding.wrote(-1);
    EXPECT_EQ(outstanding.fenced(9), 0u);
    EXPECT_EQ(outstanding.fenced_all(), 2u);
}

}  // namespace
}  // namespace grl
