// Small files, whole: read with a bound, replaced so that a crash leaves the old or the new one.
// Blocking; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "grl/base/result.h"

namespace grl {

inline constexpr std::size_t kMaxFileText = 4U << 20;  // bytes

// A descriptor that closes itself.
class Fd {
  public:
    Fd() = default;
    explicit Fd(int fd) : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(other.release()) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) reset(other.release());
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    int get() const { return fd_; }
    explicit operator bool() const { return fd_ >= 0; }
    int release() {
        int fd = fd_;
        fd_ = -1;
        return fd;
    }
    void reset(int fd = -1);

  private:
    int fd_ = -1;
};

Result<std::string> read_file(const std::string& path, std::size_t limit = kMaxFileText);

// Mode 0600; the directory is synced too, so that the name survives a power cut.
Result<void> replace_file(const std::string& path, const std::string& text);

Result<void> sync_directory(const std::string& path);

}  // namespace grl
