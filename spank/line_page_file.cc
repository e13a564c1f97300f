#include "spank/line_page_file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "grl/page/attempt.h"

namespace grl {
namespace {

constexpr int kCreateTries = 3;
constexpr auto relaxed = std::memory_order_relaxed;

char g_doomed_path[512];

Error page_error(const std::string& path, const char* act) {
    return fail("making the line page", path, std::string(act) + ": " + errno_text(errno));
}

// Wherever it is asked for: never open one that is there, and never follow a link.
Result<Fd> create_file(const std::string& path) {
    for (int i = 0; i < kCreateTries; ++i) {
        if (unlink(path.c_str()) != 0 && errno != ENOENT) return page_error(path, "unlink");
        const int fd =
            ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0) return Fd(fd);
        if (errno != EEXIST) break;
    }
    return page_error(path, "open");
}

// Copied first: the user may change it meanwhile.
template <std::size_t kSize>
std::string printable(const char (&words)[kSize]) {
    char text[kSize];
    std::memcpy(text, words, kSize);
    std::string clean;
    for (const char c : text) {
        if (c == '\0') break;
        clean += c >= ' ' && c <= '~' ? c : '?';
    }
    return clean;
}

}  // namespace

Result<LinePageFile> LinePageFile::create(const std::string& path, std::uint32_t slots,
                                          std::uint32_t step_ranks, uid_t owner) {
    Result<Fd> made = create_file(path);
    if (!made) return made.error();
    Fd file = std::move(*made);
    const std::size_t bytes = line_page_bytes(slots);
    const int room = posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
    void* memory = MAP_FAILED;
    if (room == 0) {
        memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    } else {
        errno = room;
    }
    if (memory == MAP_FAILED) {
        const Error error = page_error(path, room == 0 ? "mmap" : "fallocate");
        unlink(path.c_str());
        return error;
    }
    auto* page = static_cast<LinePage*>(memory);  // all zero
    page->version = kLinePageVersion;
    page->slots = slots;
    page->step_ranks = step_ranks;
    std::atomic_thread_fence(std::memory_order_release);
    page->magic = kLinePageMagic;
    LinePageFile whole(std::move(file), path, page, slots);
    if (fchown(whole.file_.get(), owner, static_cast<gid_t>(-1)) != 0) {
        return page_error(path, "chown");
    }
    return whole;
}

LinePageFile::LinePageFile(Fd file, std::string path, LinePage* page, std::uint32_t slots)
    : file_(std::move(file)), path_(std::move(path)), page_(page), slots_(slots) {}

LinePageFile::LinePageFile(LinePageFile&& other) noexcept
    : file_(std::move(other.file_)),
      path_(std::move(other.path_)),
      page_(std::exchange(other.page_, nullptr)),
      slots_(other.slots_) {}

LinePageFile::~LinePageFile() {
    if (page_ == nullptr) return;
    munmap(page_, line_page_bytes(slots_));
    // The name may be a later step's by now.
    struct stat ours {
    }, named{};
    if (fstat(file_.get(), &ours) == 0 && lstat(path_.c_str(), &named) == 0 &&
        ours.st_dev == named.st_dev && ours.st_ino == named.st_ino) {
        unlink(path_.c_str());
    }
}

void LinePageFile::shut(std::uint32_t attempt, std::uint32_t line, std::int64_t grace_ns) {
    page_->grace_ns.store(grace_ns, relaxed);
    page_->closed.store(attempt - 1, std::memory_order_release);
    open_attempt(*page_, attempt, line);
}

void LinePageFile::open(std::uint32_t attempt, Outcome outcome) {
    close_attempt(*page_, attempt, outcome);
    // For agents that have not seen it. Only ever upward: the page's own word may be anything.
    page_->attempt.store(attempt, std::memory_order_release);
    futex_wake(page_->attempt, Reach::node);
}

void LinePageFile::set_generation(std::uint32_t generation) {
    page_->generation.store(generation, relaxed);
}

bool LinePageFile::forked() const {
    return page_->forked.load(std::memory_order_acquire) != 0;
}

void LinePageFile::go() {
    page_->go.store(1, std::memory_order_release);
    futex_wake(page_->go, Reach::node);
}

void LinePageFile::beat() {
    page_->beat.fetch_add(1, relaxed);
}

std::vector<RankWords> LinePageFile::ranks() const {
    std::vector<RankWords> copies(slots_);
    const RankSlot* slot = slots_of(page_);
    const RankTrace* trace = traces_of(page_, slots_);
    for (RankWords& copy : copies) {
        const std::uint32_t state = slot->state.load(std::memory_order_acquire);
        const std::uint32_t call = slot->call.load(relaxed);
        if (state <= static_cast<std::uint32_t>(RankState::left)) {
            copy.state = static_cast<RankState>(state);
        }
        if (call <= static_cast<std::uint32_t>(CallClass::threads)) {
            copy.call = static_cast<CallClass>(call);
        }
        copy.issued = slot->issued.load(relaxed);
        copy.completed = slot->completed.load(relaxed);
        copy.attempt = slot->attempt.load(relaxed);
        copy.rank = slot->rank.load(relaxed);
        copy.pid = slot->pid.load(relaxed);
        copy.last_call = printable(trace->call);
        copy.last_target = trace->target.load(relaxed);
        copy.since_ns = trace->since_ns.load(relaxed);
        ++slot;
        ++trace;
    }
    return copies;
}

ProofCopy LinePageFile::proof() const {
    const ProofWords& words = page_->proof;
    ProofCopy copy;
    copy.attempt = words.attempt.load(std::memory_order_acquire);
    copy.proven = words.proven.load(relaxed) == 1;
    copy.ranks = words.ranks.load(relaxed);
    copy.bad_rank = words.bad_rank.load(relaxed);
    copy.issued = words.issued.load(relaxed);
    copy.completed = words.completed.load(relaxed);
    copy.deferred = words.deferred.load(relaxed);
    copy.at_ns = words.at_ns.load(relaxed);
    copy.reason = printable(words.reason);
    return copy;
}

void line_page_removal_on_bus_error(const std::string& path) {
    if (path.size() >= sizeof g_doomed_path) return;
    std::memcpy(g_doomed_path, path.c_str(), path.size() + 1);
    struct sigaction action {};
    action.sa_handler = [](int) {
        unlink(g_doomed_path);
        _exit(1);
    };
    sigaction(SIGBUS, &action, nullptr);
}

}  // namespace grl
