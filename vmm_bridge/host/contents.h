// Which bytes a guest's kernel, initrd and disk have: two hosts may have the same definition and
// another file behind the same path, and memory that was captured over the one must not go on over
// the other.
//
// A file's identity is its size and the XXH3-128 of all of it, read once and kept as long as device,
// inode, size and time of change stay. A block device has no such time, and may be large: its size
// and its first and last MiB, read anew each time; what differs in between is not seen.
//
// It is what lies at the path now. A guest that was started before the file was replaced has the
// older one open: replace disks of guests that do not run.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <tuple>

#include "grl/base/result.h"

namespace grl::bridge {

// Parts of files that are named at all, in this order.
template <class Section>
void add_file_parts(const Section& section, auto& parts) {
    if (!section.kernel.empty()) parts.push_back({"kernel", section.kernel, {}});
    if (!section.initrd.empty()) parts.push_back({"initrd", section.initrd, {}});
    if (!section.disk.empty()) parts.push_back({"disk", section.disk, {}});
}

class FileContents {
  public:
    // Blocking, perhaps for long; any thread.
    Result<std::string> identify(const std::string& path);
    // What was found last; empty: nothing yet. Touches no file; any thread.
    std::string known(const std::string& path) const;

  private:
    using Stamp = std::tuple<std::uint64_t, std::uint64_t, std::uint64_t, std::int64_t>;
    struct Entry {
        Stamp stamp;
        std::string id;
    };
    void keep(const std::string& path, const Stamp& stamp, const std::string& id);

    mutable std::mutex mutex_;
    std::map<std::string, Entry> entries_;
};

}  // namespace grl::bridge
