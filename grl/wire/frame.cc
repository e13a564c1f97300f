#include "grl/wire/frame.h"

#include <cstdint>

namespace grl {

namespace {

constexpr std::size_t kHeader = 4;
constexpr std::size_t kMaxDepth = 16;

}  // namespace

Result<std::string> encode_frame(const boost::json::object& message) {
    std::string body = boost::json::serialize(message);
    if (body.size() > kMaxFrame) {
        return fail("sending a message", "",
                    "its " + std::to_string(body.size()) + " bytes are over the limit of " +
                        std::to_string(kMaxFrame),
                    ErrorKind::protocol);
    }
    const auto n = static_cast<std::uint32_t>(body.size());
    std::string frame{static_cast<char>(n >> 24), static_cast<char>(n >> 16),
                      static_cast<char>(n >> 8), static_cast<char>(n)};
    return frame + body;
}

Result<std::optional<boost::json::object>> FrameDecoder::next() {
    const std::string_view rest = std::string_view(buffer_).substr(used_);
    auto more = [&]() -> std::optional<boost::json::object> {
        buffer_.erase(0, used_);
        used_ = 0;
        return std::nullopt;
    };
    if (rest.size() < kHeader) return more();
    std::uint32_t n = 0;
    for (std::size_t i = 0; i < kHeader; ++i) n = n << 8 | static_cast<unsigned char>(rest[i]);
    if (n > limit_) {
        return fail("reading a message", "",
                    "its length " + std::to_string(n) + " is over the limit of " +
                        std::to_string(limit_) + " bytes",
                    ErrorKind::protocol);
    }
    if (rest.size() < kHeader + n) return more();
    boost::json::parse_options options;
    options.max_depth = kMaxDepth;
    boost::system::error_code ec;
    boost::json::value value =
        boost::json::parse(rest.substr(kHeader, n), ec, boost::json::storage_ptr(), options);
    used_ += kHeader + n;
    if (ec || !value.is_object()) {
        return fail("reading a message", "", ec ? ec.message() : "it is no JSON object",
                    ErrorKind::protocol);
    }
    return std::optional<boost::json::object>(std::move(value.get_object()));
}

}  // namespace grl
