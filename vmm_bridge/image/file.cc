#include "vmm_bridge/image/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm_bridge/image/format.h"

namespace grl::bridge {

namespace {

constexpr std::uint64_t kFlushStep = 8U << 20;  // bytes
constexpr std::size_t kReadStep = 1U << 20;     // likewise

std::string why_not(int error_number) {
    std::string why = errno_text(error_number);
    if (error_number == ENOSPC || error_number == EDQUOT) {
        why += "; free some space in the checkpoint directory, or keep fewer lines";
    }
    return why;
}

std::string base_name(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

}  // namespace

Result<Fd> ImageFile::create(const std::string& path) {
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail("removing an older image", path, errno_text(errno));
    }
    Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail("creating an image", path, why_not(errno));
    return fd;
}

Result<void> ImageFile::append(const void* bytes, std::size_t count) {
    digest_.update(bytes, count);
    const char* at = static_cast<const char*>(bytes);
    while (count > 0) {
        const ssize_t n = write(fd_.get(), at, count);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            return fail("writing an image", path_,
                        why_not(errno) + " (after " + std::to_string(size() >> 20) + " MiB)");
        }
        at += n;
        count -= static_cast<std::size_t>(n);
        size_ += static_cast<std::uint64_t>(n);
    }
    // Let the disk begin at once, so that the sync at the end is short.
    if (size() - flushed_ >= kFlushStep) {
        sync_file_range(fd_.get(), static_cast<off64_t>(flushed_),
                        static_cast<off64_t>(size() - flushed_), SYNC_FILE_RANGE_WRITE);
        flushed_ = size();
    }
    return {};
}

// What the page cache has proves nothing: it is dropped first, so that the bytes come from storage,
// or from its server. (A file system that keeps its files in memory has no other copy.)
Result<void> ImageFile::read_back(const std::string& digest) {
    const std::string act = "reading an image back";
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);
    Digest found;
    std::string buffer(kReadStep, '\0');
    std::uint64_t count = 0;
    for (;;) {
        const ssize_t n =
            pread(fd_.get(), buffer.data(), buffer.size(), static_cast<off64_t>(count));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(act, path_, errno_text(errno));
        if (n == 0) break;
        found.update(buffer.data(), static_cast<std::size_t>(n));
        count += static_cast<std::uint64_t>(n);
    }
    if (count == size() && found.hex() == digest) return {};
    return fail(act, path_,
                "storage does not have what was written: " + std::to_string(count) +
                    " bytes with XXH3-128 " + found.hex() + ", not " + std::to_string(size()) +
                    " with " + digest);
}

Result<std::string> ImageFile::finish() {
    if (fsync(fd_.get()) != 0) return fail("syncing an image", path_, why_not(errno));
    const std::string hex = digest_.hex();
    if (Result<void> stored = read_back(hex); !stored) return stored.error();
    // The form that xxh128sum --check reads.
    Result<void> checksum =
        replace_file(path_ + kChecksumSuffix, hex + "  " + base_name(path_) + "\n");
    if (!checksum) return checksum.error();
    return hex;
}

}  // namespace grl::bridge
