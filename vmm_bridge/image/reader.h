// Reads images: checks them whole, and unpacks them into a VMM's stream. Blocking; any thread, an
// object on one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "grl/base/file.h"
#include "grl/base/result.h"
#include "vmm_bridge/image/format.h"

namespace grl::bridge {

class ImageReader {
  public:
    // Opens it and reads its start and end; a torn file is an error of kind protocol.
    static Result<ImageReader> open(const std::string& path);

    const ImageHeader& header() const { return header_; }
    std::uint64_t stored_bytes() const { return size_; }
    std::uint64_t raw_bytes() const { return end_.raw_bytes; }

    // Every byte against size and digest of the manifest.
    Result<void> verify(std::uint64_t stored_bytes, const std::string& digest);

    // Into a socket, until all is written or the other end is gone.
    Result<void> unpack(int stream);

  private:
    ImageReader(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}
    Result<void> read_start_and_end();
    Result<void> read_at(std::uint64_t offset, char* bytes, std::size_t count);
    Error error(const std::string& act, const std::string& why) const;

    Fd fd_;
    std::string path_;
    ImageHeader header_;
    ImageEnd end_;
    std::uint64_t data_offset_ = 0;
    std::uint64_t size_ = 0;
};

}  // namespace grl::bridge
