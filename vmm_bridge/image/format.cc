#include "vmm_bridge/image/format.h"

namespace grl::bridge {

namespace {

constexpr std::string_view kStartMagic = "GRLIMAGE";
constexpr std::string_view kEndMagic = "GRLIMEND";

template <class Number>
void append(std::string& out, Number n) {
    for (std::size_t i = 0; i < sizeof n; ++i) out += static_cast<char>(n >> (8 * i) & 0xff);
}

template <class Number>
Number number_at(std::string_view in, std::size_t at) {
    Number n = 0;
    for (std::size_t i = sizeof n; i-- > 0;) n = n << 8 | static_cast<unsigned char>(in[at + i]);
    return n;
}

Error torn(const std::string& why) {
    return fail("reading an image", "", why, ErrorKind::protocol);
}

}  // namespace

std::string encode_image_start(const ImageHeader& header) {
    const std::string text = json::serialize(to_json(header)) + "\n";
    std::string out(kStartMagic);
    append(out, kImageVersion);
    append(out, static_cast<std::uint32_t>(text.size()));
    return out + text;
}

std::string encode_image_end(const ImageEnd& end) {
    std::string out(kEndMagic);
    append(out, end.raw_bytes);
    append(out, end.packed_bytes);
    return out;
}

Result<std::uint32_t> decode_fixed_start(std::string_view bytes) {
    if (bytes.size() < kImageFixedStart || bytes.substr(0, 8) != kStartMagic) {
        return torn("it does not begin as an image of GRL does");
    }
    const auto version = number_at<std::uint32_t>(bytes, 8);
    if (version != kImageVersion) {
        return torn("its version is " + std::to_string(version) + ", this release reads " +
                    std::to_string(kImageVersion));
    }
    const auto length = number_at<std::uint32_t>(bytes, 12);
    if (length > kMaxImageHeader) return torn("its header's length is beyond all bounds");
    return length;
}

Result<ImageHeader> decode_image_header(std::string_view text) {
    boost::system::error_code ec;
    json::value value = json::parse(text, ec);
    if (ec) return torn("its header is no JSON: " + ec.message());
    return from_json<ImageHeader>(value, "an image's header");
}

Result<ImageEnd> decode_image_end(std::string_view bytes) {
    if (bytes.size() < kImageEnd || bytes.substr(0, 8) != kEndMagic) {
        return torn("it is torn: its end is missing");
    }
    return ImageEnd{number_at<std::uint64_t>(bytes, 8), number_at<std::uint64_t>(bytes, 16)};
}

}  // namespace grl::bridge
