// The line page's layout is a contract between programs built apart; a page that is not one is
// refused with the reason.
#include "grl/page/line_page.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "grl/page/gate.h"
#include "pmix_hooks/page.h"
#include "pmix_hooks/proof.h"

namespace grl {
namespace {

class PageFile {
  public:
    PageFile() {
        char name[] = "/tmp/grl-page-XXXXXX";
        const int file = mkstemp(name);
        path_ = name;
        close(file);
    }
    ~PageFile() { unlink(path_.c_str()); }
    void write(const void* bytes, std::size_t count) const {
        std::FILE* file = std::fopen(path_.c_str(), "wb");
        ASSERT_NE(file, nullptr);
        ASSERT_EQ(std::fwrite(bytes, 1, count, file), count);
        std::fclose(file);
    }
    const char* path() const { return path_.c_str(); }

  private:
    std::string path_;
};

std::vector<char> page_bytes(std::uint32_t slots) {
    std::vector<char> bytes(line_page_bytes(slots));
    auto* page = reinterpret_cast<std::uint32_t*>(bytes.data());
    page[0] = kLinePageMagic;
    page[1] = kLinePageVersion;
    page[2] = slots;
    page[3] = slots;
    return bytes;
}

std::string refusal(const std::vector<char>& bytes) {
    const PageFile file;
    file.write(bytes.data(), bytes.size());
    std::string why;
    EXPECT_EQ(map_line_page(file.path(), why), nullptr);
    return why.substr(why.find_last_of('/') == std::string::npos ? 0
                                                                 : why.find(' ', why.rfind('/')));
}

TEST(LinePage, KeepsItsLayout) {
    EXPECT_EQ(offsetof(LinePage, shut), 64u);
    EXPECT_EQ(offsetof(LinePage, attempt), 68u);
    EXPECT_EQ(offsetof(LinePage, closed), 72u);
    EXPECT_EQ(offsetof(LinePage, events), 128u);
    EXPECT_EQ(offsetof(LinePage, proof), 192u);
    EXPECT_EQ(sizeof(RankSlot), 64u);
    EXPECT_EQ(line_page_bytes(2) - line_page_bytes(1), 128u);
}

TEST(LinePage, GivesEveryRankItsOwnCacheLine) {
    Gate gate;
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&gate.spare) % 64, 0u);
    EXPECT_EQ(line_page_bytes(0) % 64, 0u);
}

TEST(LinePage, IsMappedWhenItIsWhole) {
    const PageFile file;
    const std::vector<char> bytes = page_bytes(4);
    file.write(bytes.data(), bytes.size());
    std::string why;
    LinePage* page = map_line_page(file.path(), why);
    ASSERT_NE(page, nullptr) << why;
    EXPECT_EQ(page->slots, 4u);
    EXPECT_EQ(slots_of(page)[3].state, 0u);
}

TEST(LinePage, IsRefusedWhenTorn) {
    std::vector<char> bytes = page_bytes(4);
    bytes[0] = 0;  // the creator stores the magic last
    EXPECT_EQ(refusal(bytes), " is not a line page or not finished");
}

TEST(LinePage, IsRefusedInAnotherVersion) {
    std::vector<char> bytes = page_bytes(4);
    bytes[4] = 77;
    EXPECT_EQ(refusal(bytes), " has another version");
}

TEST(LinePage, IsRefusedWhenCutOff) {
    std::vector<char> bytes = page_bytes(4);
    bytes.pop_back();
    EXPECT_EQ(refusal(bytes), " is shorter than its slots");
    bytes.resize(40);
    EXPECT_EQ(refusal(bytes), " is shorter than its header");
    EXPECT_EQ(refusal({}), " is shorter than its header");
}

TEST(LinePage, IsRefusedWithImpossibleNumbers) {
    std::vector<char> bytes = page_bytes(4);
    bytes[8] = 5;  // more slots than the step has ranks
    EXPECT_EQ(refusal(bytes), " has impossible numbers of ranks");
}

TEST(LinePage, SaysWhichFileIsMissing) {
    std::string why;
    EXPECT_EQ(map_line_page("/nowhere/page", why), nullptr);
    EXPECT_EQ(why, "cannot open the line page /nowhere/page: No such file or directory");
}

FenceValue value(std::uint32_t attempt) {
    FenceValue v;
    v.round = v.attempt = attempt;
    return v;
}

void count(RankSlot& slot, std::uint32_t rank, std::uint64_t issued, std::uint64_t completed,
           std::uint64_t deferred) {
    slot.rank = rank;
    slot.quiet_issued = issued;
    slot.quiet_completed = completed;
    slot.deferred = deferred;
}

TEST(Proof, AddsUpWhatTheNodesRanksHad) {
    RankSlot slots[2]{};
    count(slots[0], 4, 10, 10, 0);
    count(slots[1], 5, 5, 3, 2);
    Proof proof;
    proof.proven = true;
    add_up(proof, slots);
    EXPECT_TRUE(proof.proven) << proof.reason;
    EXPECT_EQ(proof.issued, 15u);
    EXPECT_EQ(proof.completed, 13u);
    EXPECT_EQ(proof.deferred, 2u);
    count(slots[1], 5, 5, 3, 0);
    add_up(proof, slots);
    EXPECT_FALSE(proof.proven);
    EXPECT_EQ(proof.bad_rank, 5u);
    EXPECT_EQ(proof.reason, "rank 5 has 5 operations issued, 3 completed and 0 deferred");
}

TEST(Proof, HoldsOfRanksThatHaveGoneOn) {
    FenceValue values[] = {value(7), value(8)};
    const bool present[] = {true, true};
    EXPECT_TRUE(judge_silence(values, present, 7, 7).proven);
    values[1].leave_since = 8;
    EXPECT_TRUE(judge_silence(values, present, 7, 7).proven);
    values[1].refused = 6;
    EXPECT_TRUE(judge_silence(values, present, 7, 7).proven);
    values[1].refused = 7;
    EXPECT_EQ(judge_silence(values, present, 7, 7).reason,
              "rank 1 was not quiet when the attempt ended");
    values[1].refused = 0;
    values[1].leave_since = 7;
    EXPECT_EQ(judge_silence(values, present, 7, 7).reason, "rank 1 is finalising");
}

TEST(Proof, NamesTheRankThatDoesNotFit) {
    const bool all[] = {true, true};
    const bool one[] = {true, false};
    FenceValue values[] = {value(7), value(7)};
    const auto reason = [&](const bool(&present)[2]) {
        const Proof proof = judge_silence(values, present, 7, 7);
        EXPECT_FALSE(proof.proven);
        EXPECT_EQ(proof.bad_rank, 1u);
        return proof.reason;
    };
    EXPECT_EQ(reason(one),
              "the fence is no barrier: rank 1's value of attempt 7 is missing; "
              "wants SLURM_PMIX_FENCE=ring, PMIxDirectConn");
    values[1].round = 6;
    EXPECT_EQ(reason(all),
              "the fence is no barrier: rank 1's value of attempt 7 is stale; "
              "wants SLURM_PMIX_FENCE=ring, PMIxDirectConn");
    values[1] = value(7);
    values[1].refused = 7;
    EXPECT_EQ(reason(all), "rank 1 was not quiet when the attempt ended");
    values[1].leave_since = 7;
    EXPECT_EQ(reason(all), "rank 1 is finalising");
    values[1] = value(7);
    values[1].attempt = 8;
    EXPECT_EQ(reason(all), "rank 1 is at attempt 8, not 7");
}

TEST(Proof, LeavingIsJudgedAlikeByThoseWhoLookLate) {
    FenceValue values[2];
    const bool all[] = {true, true};
    values[0].round = 5;
    values[0].leave_since = 4;
    values[1].round = 5;
    EXPECT_EQ(judge_leaving(values, all, 5), Leaving::not_all);
    values[1].round = 6;
    values[1].leave_since = 6;  // a newer value must not look like one of round 5
    EXPECT_EQ(judge_leaving(values, all, 5), Leaving::not_all);
    EXPECT_EQ(judge_leaving(values, all, 6), Leaving::no_barrier);
    values[0].round = 6;
    EXPECT_EQ(judge_leaving(values, all, 6), Leaving::all);
}

}  // namespace
}  // namespace grl
