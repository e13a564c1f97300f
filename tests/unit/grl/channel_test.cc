// A channel answers every request once: with the reply, or with an error in bounded time.
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "grl/wire/channel.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>

namespace grl {
namespace {

struct Channels : testing::Test {
    asio::io_context io;
    std::shared_ptr<Channel> left, right;
    int raw = -1;  // the right end, where a test wants to write bytes of its own

    std::pair<Stream, Stream> pair() {
        asio::local::stream_protocol::socket a(io), b(io);
        asio::local::connect_pair(a, b);
        return {Stream(std::move(a)), Stream(std::move(b))};
    }
    void SetUp() override {
        auto [a, b] = pair();
        left = std::make_shared<Channel>(std::move(a), "right");
        right = std::make_shared<Channel>(std::move(b), "left");
    }
    void serve(std::function<void(const std::string&, const json::object&, Channel::Responder)> f) {
        Channel::Handlers handlers;
        handlers.request = std::move(f);
        right->set_handlers(handlers);
        right->start();
        left->start();
    }
    void run() { io.run_for(std::chrono::seconds(20)); }
};

TEST_F(Channels, RequestGetsItsReply) {
    serve([](const std::string& type, const json::object&, Channel::Responder r) {
        EXPECT_EQ(type, "drain");
        r.reply(Silent{.attempt = 4, .proof = {}, .shut_at_ns = 1, .silent_at_ns = 2});
    });
    bool done = false;
    left->request<Silent>(Drain{}, Milliseconds(10000), [&](Result<Silent> s) {
        ASSERT_TRUE(s) << s.error().text();
        EXPECT_EQ(s->attempt, 4U);
        done = true;
        left->close(fail("end", "", ""));
        right->close(fail("end", "", ""));
    });
    run();
    EXPECT_TRUE(done);
}

TEST_F(Channels, ErrorKeepsItsKindAndText) {
    serve([](const std::string&, const json::object&, Channel::Responder r) {
        r.error(fail("line of job 7", "g1", "rank 3 is finalising", ErrorKind::refused));
    });
    std::string text;
    left->request<Done>(Drain{}, Milliseconds(10000), [&](Result<Done> d) {
        ASSERT_FALSE(d);
        EXPECT_EQ(d.error().kind, ErrorKind::refused);
        text = d.error().text();
        left->close(fail("end", "", ""));
        right->close(fail("end", "", ""));
    });
    run();
    EXPECT_EQ(text, "line of job 7 (g1): rank 3 is finalising");
}

TEST_F(Channels, SilentPeerMeansAnErrorAtTheDeadline) {
    std::vector<Channel::Responder> kept;
    serve([&](const std::string&, const json::object&, Channel::Responder r) {
        kept.push_back(std::move(r));
    });
    int calls = 0;
    left->request<Done>(Drain{}, Milliseconds(20), [&](Result<Done> d) {
        ++calls;
        ASSERT_FALSE(d);
        EXPECT_EQ(d.error().kind, ErrorKind::unreachable);
        // An answer that comes too late must not be heard.
        kept[0].reply(Done{});
        asio::post(io, [&] {
            left->close(fail("end", "", ""));
            right->close(fail("end", "", ""));
        });
    });
    run();
    EXPECT_EQ(calls, 1);
}

TEST_F(Channels, DroppedResponderAnswersWithAnError) {
    serve([](const std::string&, const json::object&, Channel::Responder) {});
    bool failed = false;
    left->request<Done>(Drain{}, Milliseconds(10000), [&](Result<Done> d) {
        failed = !d;
        left->close(fail("end", "", ""));
        right->close(fail("end", "", ""));
    });
    run();
    EXPECT_TRUE(failed);
}

TEST_F(Channels, DeadPeerFailsOpenRequestsAndSaysSoOnce) {
    std::vector<Channel::Responder> kept;
    serve([&](const std::string&, const json::object&, Channel::Responder r) {
        kept.push_back(std::move(r));
        right->close(fail("end", "", ""));
    });
    int closed = 0, failed = 0;
    Channel::Handlers handlers;
    handlers.closed = [&](const Error&) { ++closed; };
    left->set_handlers(handlers);
    for (int i = 0; i < 3; ++i) {
        left->request<Done>(Drain{}, Milliseconds(10000), [&](Result<Done> d) { failed += !d; });
    }
    run();
    EXPECT_EQ(closed, 1);
    EXPECT_EQ(failed, 3);
    left->request<Done>(Drain{}, Milliseconds(10000), [&](Result<Done> d) { failed += !d; });
    io.restart();
    run();
    EXPECT_EQ(failed, 4);
}

TEST_F(Channels, ProgressComesBeforeTheReply) {
    serve([](const std::string&, const json::object&, Channel::Responder r) {
        r.progress(LineId{1, 1});
        r.progress(LineId{1, 2});
        r.reply(Done{});
    });
    int progress = 0;
    bool done = false;
    left->request<Done>(
        Drain{}, Milliseconds(10000),
        [&](Result<Done> d) {
            done = d.has_value();
            EXPECT_EQ(progress, 2);
            left->close(fail("end", "", ""));
            right->close(fail("end", "", ""));
        },
        [&](const json::object&) { ++progress; });
    run();
    EXPECT_TRUE(done);
}

TEST_F(Channels, GarbageEndsTheChannelWithAReason) {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    asio::local::stream_protocol::socket end(io, asio::local::stream_protocol(), fds[0]);
    auto channel = std::make_shared<Channel>(Stream(std::move(end)), "stranger");
    std::string why;
    Channel::Handlers handlers;
    handlers.closed = [&](const Error& e) { why = e.text(); };
    channel->set_handlers(handlers);
    channel->start();
    ASSERT_EQ(write(fds[1], "GET / HTTP/1.1\r\n", 16), 16);
    run();
    EXPECT_NE(why.find("stranger"), std::string::npos) << why;
    EXPECT_FALSE(channel->is_open());
    close(fds[1]);
}

}  // namespace
}  // namespace grl
