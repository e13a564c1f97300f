// Frames: in whatever pieces the bytes come, the messages are the same; what is read can be written and read again.
#include "grl/wire/frame.h"

#include <vector>

#include "tests/fuzz/input.h"

namespace {

struct Heard {
    std::vector<boost::json::object> messages;
    bool dead = false;
    friend bool operator==(const Heard&, const Heard&) = default;
};

Heard hear(std::string_view bytes, std::size_t piece) {
    Heard heard;
    grl::FrameDecoder decoder(64U << 10);
    while (!heard.dead) {
        auto message = decoder.next();
        if (!message) {
            heard.dead = true;
        } else if (*message) {
            heard.messages.push_back(std::move(**message));
        } else if (bytes.empty()) {
            break;
        } else {
            decoder.feed(bytes.substr(0, piece));
            bytes.remove_prefix(std::min(piece, bytes.size()));
        }
    }
    return heard;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    const std::string_view text = grl::fuzz::text_of(bytes, size);
    const Heard whole = hear(text, text.size() + 1);
    grl::fuzz::must(whole == hear(text, 3));
    for (const auto& message : whole.messages) {
        auto frame = grl::encode_frame(message);
        grl::fuzz::must(frame && hear(*frame, frame->size()).messages.size() == 1);
    }
    return 0;
}
