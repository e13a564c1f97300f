// The registry of one-sided operations of MPI: what each completing call ends, and no more.
#include "armci_patch/windows.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

namespace grl {
namespace {

struct WindowsTest : testing::Test {
    WindowsTest() { w.open(4); }
    ~WindowsTest() override { w.close(); }

    std::uint64_t finish() {
        return w.finish([&](Windows::Key win) { flushed.emplace_back(win, -1); },
                        [&](Windows::Key win, int rank) { flushed.emplace_back(win, rank); });
    }

    Windows w;
    std::vector<std::pair<Windows::Key, int>> flushed;
};

constexpr Windows::Key kWin = 0x55550010;
constexpr Windows::Key kOther = 0x55550020;

TEST_F(WindowsTest, AFlushCompletesItsTargetInItsWindowOnly) {
    w.began(Windows::write, kWin, 1);
    w.began(Windows::read, kWin, 1);
    w.began(Windows::write, kWin, 2);
    w.began(Windows::write, kOther, 1);
    EXPECT_EQ(w.flushed(kWin, 1), 2u);
    EXPECT_EQ(w.flushed(kWin, 1), 0u);
    EXPECT_EQ(w.flushed_all(kWin), 1u);
    EXPECT_EQ(w.unlocked(kOther, 1), 1u);
}

TEST_F(WindowsTest, ALocalFlushCompletesReadsOnly) {
    w.began(Windows::write, kWin, 1);
    w.began(Windows::read, kWin, 1);
    w.began(Windows::read, kWin, 3);
    EXPECT_EQ(w.flushed_local(kWin, 1), 1u);
    EXPECT_EQ(w.flushed_local_all(kWin), 1u);
    EXPECT_EQ(w.flushed_all(kWin), 1u);
}

TEST_F(WindowsTest, FinishFlushesPassiveEpochsOnly) {
    w.locked(kWin, 1);
    w.began(Windows::write, kWin, 1);
    w.began(Windows::write, kWin, 2);  // no lock there: another kind of epoch
    w.locked_all(kOther);
    w.began(Windows::read, kOther, 0);
    w.began(Windows::write, kOther, 3);
    EXPECT_EQ(finish(), 3u);
    std::map<Windows::Key, int> once(flushed.begin(), flushed.end());
    EXPECT_EQ(once, (std::map<Windows::Key, int>{{kWin, 1}, {kOther, -1}}));
    EXPECT_EQ(finish(), 0u) << "nothing is left that could be flushed";
    EXPECT_EQ(w.flushed_all(kWin), 1u) << "by the fence that ends the epoch";
}

TEST_F(WindowsTest, AnUnlockedWindowIsLeftAlone) {
    w.locked(kWin, 1);
    w.began(Windows::write, kWin, 1);
    EXPECT_EQ(w.unlocked(kWin, 1), 1u);
    w.locked_all(kWin);
    w.began(Windows::write, kWin, 1);
    EXPECT_EQ(w.unlocked_all(kWin), 1u);
    w.began(Windows::write, kWin, 1);
    EXPECT_EQ(finish(), 0u);
    EXPECT_TRUE(flushed.empty());
}

TEST_F(WindowsTest, AFreedWindowIsForgottenAndItsHandleUsedAgain) {
    w.locked_all(kWin);
    w.began(Windows::write, kWin, 1);
    EXPECT_EQ(w.freed(kWin), 1u);
    w.began(Windows::write, kWin, 1);
    EXPECT_EQ(finish(), 0u) << "the new window is in no epoch";
    EXPECT_EQ(w.flushed_all(kWin), 1u);
}

TEST_F(WindowsTest, TargetsOutOfRangeAreCompletedByAnAllFlush) {
    w.began(Windows::write, kWin, -1);
    w.began(Windows::write, kWin, 4);
    w.began(Windows::write, kWin, 1 << 30);
    EXPECT_EQ(w.flushed(kWin, 2), 0u);
    EXPECT_EQ(w.flushed_all(kWin), 3u);
}

TEST_F(WindowsTest, AnUnknownWindowCompletesNothing) {
    EXPECT_EQ(w.flushed(kWin, 0), 0u);
    EXPECT_EQ(w.flushed_local(kWin, 0), 0u);
    EXPECT_EQ(w.unlocked_all(kWin), 0u);
    EXPECT_EQ(w.freed(kWin), 0u);
    EXPECT_EQ(finish(), 0u);
}

TEST_F(WindowsTest, ThousandsComeAndGo) {
    for (Windows::Key round = 0; round < 20; ++round) {
        for (Windows::Key i = 1; i <= 300; ++i) {
            const Windows::Key win = (round * 300 + i) * 64;
            w.locked_all(win);
            w.began(Windows::write, win, static_cast<int>(i % 4));
        }
        EXPECT_EQ(finish(), 300u);
        for (Windows::Key i = 1; i <= 300; ++i) EXPECT_EQ(w.freed((round * 300 + i) * 64), 0u);
    }
}

}  // namespace
}  // namespace grl
