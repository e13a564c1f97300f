// A line page as the job's user may have filled it: the master reads it, judges by it, and writes to it. The first
// byte bends the numbers that the master knows by itself.
#include <sys/mman.h>

#include <cstring>

#include "spank/line_page_file.h"
#include "spank/silence.h"
#include "tests/fuzz/input.h"

namespace {

constexpr std::uint32_t kSlots = 3;

void all_printable(const std::string& text) {
    for (const char c : text) grl::fuzz::must(c >= ' ' && c <= '~');
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    static const std::string path = fuzz::scratch("page");
    static LinePageFile page = [] {
        auto made = LinePageFile::create(path, kSlots, kSlots, geteuid());
        fuzz::must(bool(made));
        return std::move(*made);
    }();
    static char* const users = [] {
        Fd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
        void* at = mmap(nullptr, line_page_bytes(kSlots), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
        fuzz::must(at != MAP_FAILED);
        return static_cast<char*>(at);
    }();
    if (size == 0) return 0;
    std::memset(users, 0, line_page_bytes(kSlots));
    std::memcpy(users, bytes + 1, std::min(size - 1, line_page_bytes(kSlots)));
    const std::uint32_t attempt = bytes[0] & 7U;

    const std::vector<RankWords> ranks = page.ranks();
    const ProofCopy proof = page.proof();
    fuzz::must(ranks.size() == kSlots);
    const Alive alive = [](std::int32_t pid) {
        fuzz::must(pid > 0);  // kill(-1, …) would reach everybody
        return pid % 2 == 0;
    };
    const Standing standing = judge_silence(ranks, proof, attempt, kSlots, "g1", alive);
    fuzz::must(standing.kind != Standing::silent || (proof.proven && proof.attempt == attempt));
    all_printable(standing.why);
    all_printable(why_not_ready(ranks, "g1", alive));
    all_printable(who_is_not_silent(ranks, proof, attempt, "g1"));
    (void)waits_for_others(ranks);
    (void)page.forked();
    (void)line_page_fault(*reinterpret_cast<const LinePage*>(users), line_page_bytes(kSlots));
    page.shut(attempt + 1, 9, 1000);
    page.open(attempt + 1, Outcome::released);
    page.set_generation(1);
    page.go();
    page.beat();
    return 0;
}
