// How soon a rank communicates again. Every rank puts 8 bytes to the next one and fences, without
// pause, and notes the first operation that is complete after each opening of the gates, and each
// other one that took long. At the end one JSON object a rank: whole microseconds from the opening
// to the end of that operation, of the long ones, both in order of time and only the longest 64 of
// each, since Slurm breaks longer lines; and of a usual one.
//   resume_bench SECONDS LONG_US
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "armci_patch/library.h"
#include "grl/page/futex.h"
#include "grl/page/line_page.h"

namespace {

using namespace grl;

// Null in a step that is not protected.
const LinePage* line_page() {
    const char* path = std::getenv(kLinePageEnv);
    const int file = path != nullptr ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return nullptr;
    void* memory = mmap(nullptr, sizeof(LinePage), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    return memory != MAP_FAILED ? static_cast<const LinePage*>(memory) : nullptr;
}

constexpr std::size_t kMostPrinted = 64;

// The longest, in the order that they are in.
std::vector<double> longest(std::vector<double> values) {
    if (values.size() <= kMostPrinted) return values;
    std::vector<double> sorted = values;
    std::nth_element(sorted.begin(), sorted.begin() + kMostPrinted, sorted.end(), std::greater<>());
    std::erase_if(values, [least = sorted[kMostPrinted]](double value) { return value <= least; });
    return values;
}

std::string json(const std::vector<double>& values) {
    std::string text = "[";
    for (const double value : longest(values))
        text += (text.size() > 1 ? "," : "") + std::to_string(std::lround(value));
    return text + "]";
}

}  // namespace

int main(int argc, char** argv) {
    const std::int64_t seconds = argc > 1 ? std::atoi(argv[1]) : 10;
    const double long_us = argc > 2 ? std::atof(argv[2]) : 1000;
    // Before MPI is up: the master takes the page's name away once all ranks have joined.
    const LinePage* page = line_page();
    int rank = 0, ranks = 0;
    MPI_Init(&argc, &argv);
    ARMCI_Init();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    std::vector<void*> bases(static_cast<std::size_t>(ranks));
    ARMCI_Malloc(bases.data(), sizeof(long));
    long value = rank;
    const int target = (rank + 1) % ranks;
    ARMCI_Barrier();

    std::vector<double> resumes, gaps, usual;
    std::uint32_t closed = page != nullptr ? page->closed.load() : 0;
    const std::int64_t end = monotonic_ns() + seconds * 1'000'000'000;
    for (std::int64_t began = monotonic_ns(); began < end;) {
        ARMCI_Put(&value, bases[static_cast<std::size_t>(target)], sizeof value, target);
        ARMCI_Fence(target);
        const std::int64_t now = monotonic_ns();
        const double us = static_cast<double>(now - began) * 1e-3;
        if (page != nullptr && page->closed.load(std::memory_order_acquire) != closed) {
            closed = page->closed.load();
            resumes.push_back(static_cast<double>(now - page->closed_ns.load()) * 1e-3);
        } else if (us >= long_us) {
            gaps.push_back(us);
        } else if (usual.size() < 100000) {
            usual.push_back(us);
        }
        began = now;
    }
    std::sort(usual.begin(), usual.end());
    MPI_Barrier(MPI_COMM_WORLD);  // slower ones still put here
    std::printf("{\"rank\":%d,\"resume_us\":%s,\"long_us\":%s,\"usual_us\":%.3f}\n", rank,
                json(resumes).c_str(), json(gaps).c_str(),
                usual.empty() ? 0.0 : usual[usual.size() / 2]);
    std::fflush(stdout);
    ARMCI_Barrier();
    ARMCI_Free(bases[static_cast<std::size_t>(rank)]);
    ARMCI_Finalize();
    MPI_Finalize();
    return 0;
}
