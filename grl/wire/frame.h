// Frames: how messages stand on a byte stream. Four bytes of length, most significant first, then so
// many bytes of JSON (one object). A length above kMaxFrame or a body that is no object ends the
// connection: what follows cannot be trusted.
#pragma once

#include <boost/json.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "grl/base/result.h"

namespace grl {

inline constexpr std::size_t kMaxFrame = 4U << 20;  // bytes of body; a manifest of 10,000 guests

// An error if the body would be over kMaxFrame.
Result<std::string> encode_frame(const boost::json::object& message);

// Takes bytes as they come and gives whole messages. Not thread-safe; one per connection.
class FrameDecoder {
  public:
    // No body longer than `limit` is taken; at most kMaxFrame.
    explicit FrameDecoder(std::size_t limit = kMaxFrame) : limit_(limit) {}
    void set_limit(std::size_t limit) { limit_ = limit; }
    void feed(std::string_view bytes) { buffer_.append(bytes); }
    // A message, nothing yet (more bytes are needed), or an error, after which the stream is dead.
    Result<std::optional<boost::json::object>> next();
    bool empty() const { return used_ == buffer_.size(); }

  private:
    std::string buffer_;
    std::size_t used_ = 0;
    std::size_t limit_;
};

}  // namespace grl
