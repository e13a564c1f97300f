// How an image stands in its file: docs/image-format.md is the specification.
//
//     magic 8 | version 4 | header length n 4 | header: JSON, n bytes | zstd frame | end 24
//
// Numbers are little-endian. Pure; any thread.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <string_view>

#include "grl/base/json.h"
#include "grl/base/result.h"

namespace grl::bridge {

inline constexpr std::uint32_t kImageVersion = 1;
inline constexpr std::size_t kImageFixedStart = 16;  // bytes before the header
inline constexpr std::size_t kImageEnd = 24;         // bytes after the zstd frame
inline constexpr std::size_t kMaxImageHeader = 1U << 20;
inline constexpr const char* kImageSuffix = ".img";
inline constexpr const char* kChecksumSuffix = ".xxh128";

struct ImageHeader {
    std::string cluster;
    std::uint32_t job = 0;
    std::uint32_t line = 0;
    std::string guest;
    std::string host;
    std::string driver;
    std::string vmm_version;
    std::string definition_digest;
    std::uint64_t memory_mib = 0;
    std::int64_t created_at_ns = 0;
};
BOOST_DESCRIBE_STRUCT(ImageHeader, (),
                      (cluster, job, line, guest, host, driver, vmm_version, definition_digest,
                       memory_mib, created_at_ns))

struct ImageEnd {
    std::uint64_t raw_bytes = 0;     // the VMM's stream
    std::uint64_t packed_bytes = 0;  // the zstd frame
};

std::string encode_image_start(const ImageHeader& header);
std::string encode_image_end(const ImageEnd& end);

// The header's length, from the first kImageFixedStart bytes.
Result<std::uint32_t> decode_fixed_start(std::string_view bytes);
Result<ImageHeader> decode_image_header(std::string_view text);
Result<ImageEnd> decode_image_end(std::string_view bytes);

}  // namespace grl::bridge
