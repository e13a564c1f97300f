// The wire: what is sent is what is read, and what is torn, too large or no message is refused.
#include "grl/wire/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "grl/base/json.h"

namespace grl {
namespace {

json::object sample(int n) { return {{"type", "t"}, {"id", n}, {"body", json::object{{"x", "y"}}}}; }

TEST(Frame, RoundTripsOneByteAtATime) {
    FrameDecoder decoder;
    const std::string bytes = *encode_frame(sample(1)) + *encode_frame(sample(2));
    int seen = 0;
    for (char c : bytes) {
        decoder.feed(std::string_view(&c, 1));
        auto message = decoder.next();
        ASSERT_TRUE(message) << message.error().text();
        if (!*message) continue;
        EXPECT_EQ(**message, sample(++seen));
    }
    EXPECT_EQ(seen, 2);
}

TEST(Frame, TruncatedFrameIsNoMessageYet) {
    const std::string bytes = *encode_frame(sample(1));
    for (std::size_t n = 0; n < bytes.size(); ++n) {
        FrameDecoder decoder;
        decoder.feed(bytes.substr(0, n));
        auto message = decoder.next();
        ASSERT_TRUE(message);
        EXPECT_FALSE(*message) << n;
    }
}

TEST(Frame, OversizedLengthIsRefusedBeforeItsBytesCome) {
    FrameDecoder decoder;
    decoder.feed(std::string("\xff\xff\xff\xff", 4));
    auto message = decoder.next();
    ASSERT_FALSE(message);
    EXPECT_EQ(message.error().kind, ErrorKind::protocol);
    EXPECT_NE(message.error().why.find("limit"), std::string::npos);
}

TEST(Frame, OversizedMessageIsNotSent) {
    json::object big{{"body", std::string(kMaxFrame, 'x')}};
    EXPECT_FALSE(encode_frame(big));
}

TEST(Frame, BodyThatIsNoObjectIsRefused) {
    for (const std::string body : {"[1]", "{\"a\":", "", "null", "{\"a\":1}x"}) {
        FrameDecoder decoder;
        decoder.feed(std::string("\0\0\0", 3) + static_cast<char>(body.size()) + body);
        EXPECT_FALSE(decoder.next()) << body;
    }
}

TEST(Frame, DeepNestingIsRefused) {
    std::string body = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
    FrameDecoder decoder;
    decoder.feed(std::string("\0\0\0", 3) + static_cast<char>(body.size()) + body);
    EXPECT_FALSE(decoder.next());
}

TEST(Frame, RandomBytesNeverDoMoreThanFail) {
    std::mt19937 random(7);
    for (int round = 0; round < 2000; ++round) {
        FrameDecoder decoder;
        std::string noise(random() % 64, '\0');
        for (char& c : noise) c = static_cast<char>(random());
        if (noise.size() > 3) noise[0] = noise[1] = 0;
        decoder.feed(noise);
        while (true) {
            auto message = decoder.next();
            if (!message || !*message) break;
        }
    }
}

}  // namespace
}  // namespace grl
