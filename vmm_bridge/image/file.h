// The file under an image that is being written: appends, counts, digests, and at the end makes it
// durable together with its checksum file. Blocking; one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "grl/base/file.h"
#include "grl/base/result.h"
#include "vmm_bridge/base/digest.h"

namespace grl::bridge {

class ImageFile {
  public:
    // Creates it anew, 0600; an older file of that name is unlinked, not overwritten.
    static Result<Fd> create(const std::string& path);
    ImageFile(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

    Result<void> append(const void* bytes, std::size_t count);
    // Syncs the file, reads it back from storage, writes <path>.xxh128, syncs it and the directory.
    // Gives the digest, which what was read back has, too.
    Result<std::string> finish();

    std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }  // any thread
    const std::string& path() const { return path_; }

  private:
    Result<void> read_back(const std::string& digest);

    Fd fd_;
    std::string path_;
    Digest digest_;
    std::atomic<std::uint64_t> size_ = 0;
    std::uint64_t flushed_ = 0;
};

}  // namespace grl::bridge
