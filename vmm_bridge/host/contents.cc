#include "vmm_bridge/host/contents.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "grl/base/file.h"
#include "vmm_bridge/base/digest.h"

namespace grl::bridge {

namespace {

constexpr std::uint64_t kStep = 1U << 20;

Result<void> digest_range(int fd, const std::string& path, std::uint64_t from, std::uint64_t to,
                          Digest& digest) {
    std::string buffer(kStep, '\0');
    while (from < to) {
        const ssize_t n = pread(fd, buffer.data(), std::min<std::uint64_t>(kStep, to - from),
                                static_cast<off64_t>(from));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail("reading a guest's file", path, errno_text(errno));
        if (n == 0) return fail("reading a guest's file", path, "it became shorter meanwhile");
        digest.update(buffer.data(), static_cast<std::size_t>(n));
        from += static_cast<std::uint64_t>(n);
    }
    return {};
}

}  // namespace

Result<std::string> FileContents::identify(const std::string& path) {
    // Of a queue nobody writes to, an open that waits would never come back.
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat info {};
    if (!fd || fstat(fd.get(), &info) != 0) {
        return fail("reading a guest's file", path, errno_text(errno));
    }
    Digest digest;
    if (S_ISBLK(info.st_mode)) {
        std::uint64_t size = 0;
        if (ioctl(fd.get(), BLKGETSIZE64, &size) != 0) {
            return fail("asking for a device's size", path, errno_text(errno));
        }
        const std::uint64_t head = std::min(kStep, size);
        Result<void> read = digest_range(fd.get(), path, 0, head, digest);
        if (read) read = digest_range(fd.get(), path, std::max(head, size - head), size, digest);
        if (!read) return read.error();
        std::string id = "block:" + std::to_string(size) + ":" + digest.hex();
        keep(path, {}, id);
        return id;
    }
    if (!S_ISREG(info.st_mode)) {
        return fail("reading a guest's file", path, "it is no file and no block device");
    }
    const auto size = static_cast<std::uint64_t>(info.st_size);
    const Stamp stamp{info.st_dev, info.st_ino, size,
                      std::int64_t{info.st_mtim.tv_sec} * 1'000'000'000 + info.st_mtim.tv_nsec};
    {
        std::lock_guard lock(mutex_);
        const auto at = entries_.find(path);
        if (at != entries_.end() && at->second.stamp == stamp) return at->second.id;
    }
    if (Result<void> read = digest_range(fd.get(), path, 0, size, digest); !read) {
        return read.error();
    }
    std::string id = std::to_string(size) + ":" + digest.hex();
    keep(path, stamp, id);
    return id;
}

void FileContents::keep(const std::string& path, const Stamp& stamp, const std::string& id) {
    std::lock_guard lock(mutex_);
    entries_[path] = {stamp, id};
}

std::string FileContents::known(const std::string& path) const {
    std::lock_guard lock(mutex_);
    const auto at = entries_.find(path);
    return at == entries_.end() ? std::string() : at->second.id;
}

}  // namespace grl::bridge
