// The master's side of a line page: makes the file, maps it, and removes it at the end. What ranks
// wrote is copied out, each word once; sizes and attempts are the master's own.
//
// Not thread-safe but for `events()`, on which the watcher waits. Nothing blocks. If the job's user
// shortens the file, the next access raises SIGBUS: that ends his own step's master
// (line_page_removal_on_bus_error).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "grl/base/file.h"
#include "grl/base/result.h"
#include "grl/page/line_page.h"

namespace grl {

struct RankWords {
    RankState state = RankState::absent;
    CallClass call = CallClass::none;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint32_t attempt = 0;
    std::uint32_t rank = 0;
    std::int32_t pid = 0;
    // Debug mode: the last one-sided operation; empty: unknown.
    std::string last_call;  // printable
    std::int32_t last_target = 0;
    std::int64_t since_ns = 0;  // CLOCK_MONOTONIC
};

struct ProofCopy {
    std::uint32_t attempt = 0;
    bool proven = false;
    std::uint32_t ranks = 0;
    std::uint32_t bad_rank = 0;
    std::uint64_t issued = 0;
    std::uint64_t completed = 0;
    std::uint64_t deferred = 0;
    std::int64_t at_ns = 0;  // CLOCK_MONOTONIC
    std::string reason;      // printable
};

class LinePageFile {
  public:
    // Replaces a file of that name: it is of a step that is over. The new one is mode 0600 and
    // belongs to `owner`.
    static Result<LinePageFile> create(const std::string& path, std::uint32_t slots,
                                       std::uint32_t step_ranks, uid_t owner);
    LinePageFile(LinePageFile&& other) noexcept;
    LinePageFile(const LinePageFile&) = delete;
    LinePageFile& operator=(const LinePageFile&) = delete;
    ~LinePageFile();

    const std::string& path() const { return path_; }
    std::atomic<std::uint32_t>& events() { return page_->events; }

    // Shuts the gates for `attempt`, which is above all before; attempts that this node has missed
    // in between become over, so that agents make up their fences and do not wait in them.
    void shut(std::uint32_t attempt, std::uint32_t line, std::int64_t grace_ns);
    // Opens them. Also for an attempt that never reached this node.
    void open(std::uint32_t attempt, Outcome outcome);
    void set_generation(std::uint32_t generation);
    bool forked() const;  // a task waits for the other nodes'
    void go();            // lets the tasks go on
    void beat();          // tells waiting ranks that their master lives

    // A state or class that does not exist reads as absent or none.
    std::vector<RankWords> ranks() const;
    ProofCopy proof() const;

  private:
    LinePageFile(Fd file, std::string path, LinePage* page, std::uint32_t slots);
    Fd file_;
    std::string path_;
    LinePage* page_ = nullptr;
    std::uint32_t slots_ = 0;
};

// On SIGBUS the process removes `path` and ends. Call once, from main.
void line_page_removal_on_bus_error(const std::string& path);

}  // namespace grl
