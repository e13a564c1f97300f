// A guest can end its stream although the bridge has died.
#include <poll.h>

#include "tests/unit/bridge/support.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/halves/stream_keeper.h"

namespace grl::bridge {
namespace {

bool writable(int fd, int limit_ms) {
    pollfd polled{fd, POLLOUT, 0};
    return poll(&polled, 1, limit_ms) == 1 && (polled.revents & POLLERR) == 0;
}

// As much as goes into the buffers; false if the reader is gone.
bool fill(int fd) {
    const std::string bytes(65536, 'x');
    for (;;) {
        const ssize_t n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0) return errno == EAGAIN;
    }
}

TEST(StreamKeeperTest, ReadsNothingWhileTheBridgeLivesAndEverythingWhenItIsDead) {
    auto keeper = StreamKeeper::start("");
    ASSERT_TRUE(keeper) << keeper.error().text();
    auto living = std::make_unique<StreamKeeper>(std::move(*keeper));
    auto stream = open_stream_pair();
    ASSERT_TRUE(stream);
    living->keep(stream->bridge.get());
    usleep(100'000);
    ASSERT_TRUE(fill(stream->vmm.get()));
    EXPECT_FALSE(writable(stream->vmm.get(), 200)) << "the bridge is to read it";

    stream->bridge.reset();  // what the kernel does when the bridge dies
    EXPECT_FALSE(writable(stream->vmm.get(), 200));
    living.reset();
    for (int i = 0; i < 20; ++i) {
        ASSERT_TRUE(writable(stream->vmm.get(), 5000));
        ASSERT_TRUE(fill(stream->vmm.get()));
    }
}

}  // namespace
}  // namespace grl::bridge
