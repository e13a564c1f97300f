// How the memory in which streams wait is shared out.
#include "vmm_bridge/image/memory_budget.h"

#include <gtest/gtest.h>

namespace grl::bridge {
namespace {

constexpr std::uint64_t kMib = 1U << 20;
constexpr std::uint64_t kPlenty = 1ULL << 40;

TEST(MemoryBudget, AllGetWhatTheyWantWhereThereIsEnough) {
    MemoryBudget budget([] { return 4096 * kMib; });
    EXPECT_EQ(*budget.take(512 * kMib, 1), 512 * kMib);
}

TEST(MemoryBudget, TogetherTheyGetHalfOfWhatIsAvailable) {
    MemoryBudget budget([] { return 1200 * kMib; });
    const auto first = budget.take(kPlenty, 2);
    const auto second = budget.take(kPlenty, 1);
    EXPECT_EQ(*first, 300 * kMib);
    EXPECT_EQ(*second, 300 * kMib);
}

TEST(MemoryBudget, WhatOneDoesNotWantIsTheOthers) {
    MemoryBudget budget([] { return 1200 * kMib; });
    const auto small = budget.take(100 * kMib, 2);
    EXPECT_EQ(*budget.take(kPlenty, 1), 500 * kMib);
}

TEST(MemoryBudget, AShareThatEndsIsGivenBack) {
    MemoryBudget budget([] { return 1200 * kMib; });
    EXPECT_EQ(*budget.take(kPlenty, 1), 600 * kMib);
    EXPECT_EQ(*budget.take(kPlenty, 1), 600 * kMib);
}

TEST(MemoryBudget, ALateOneGetsTheLeast) {
    MemoryBudget budget([] { return 1200 * kMib; });
    const auto all = budget.take(kPlenty, 1);
    EXPECT_EQ(*budget.take(kPlenty, 1), kLeastShare);
    EXPECT_EQ(*MemoryBudget([] { return std::uint64_t{0}; }).take(kPlenty, 1), kLeastShare);
}

TEST(MemoryBudget, ShareOutlivesTheBudget) {
    MemoryBudget::Share share;
    {
        MemoryBudget budget;
        share = budget.take(1, 1);
    }
    EXPECT_EQ(*share, kLeastShare);
    EXPECT_GT(available_memory(), 0U);
}

}  // namespace
}  // namespace grl::bridge
