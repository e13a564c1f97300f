// The monitor's client against a monitor that follows a script.
#include <sys/un.h>

#include <condition_variable>

#include "tests/unit/bridge/support.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/qemu/qmp.h"

namespace grl::bridge {
namespace {

constexpr Milliseconds kLimit{5000};

// Serves one client on a thread: greets, then answers each line by the script's next text. An empty
// text answers nothing, "close" ends the connection.
class FakeMonitor {
  public:
    FakeMonitor(const std::string& path, std::string greeting, std::vector<std::string> script)
        : script_(std::move(script)) {
        listener_ = Fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        EXPECT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(listener_.get(), 1), 0);
        thread_ = std::thread([this, greeting = std::move(greeting)] { serve(greeting); });
    }
    ~FakeMonitor() {
        shutdown(listener_.get(), SHUT_RDWR);
        if (client_) shutdown(client_.get(), SHUT_RDWR);
        thread_.join();
    }
    std::vector<std::string> heard;
    int descriptors = 0;

  private:
    void serve(const std::string& greeting) {
        client_ = Fd(accept(listener_.get(), nullptr, nullptr));
        if (!client_) return;
        say(greeting);
        std::string line;
        for (std::size_t step = 0; hear(line); ++step) {
            const std::string answer = step < script_.size() ? script_[step] : std::string();
            if (answer == "close") break;
            say(answer);
        }
        shutdown(client_.get(), SHUT_RDWR);
    }
    void say(const std::string& text) {
        send(client_.get(), text.data(), text.size(), MSG_NOSIGNAL);
    }
    bool hear(std::string& line) {
        line.clear();
        for (;;) {
            char c = 0;
            iovec part{&c, 1};
            alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
            msghdr message{};
            message.msg_iov = &part;
            message.msg_iovlen = 1;
            message.msg_control = control;
            message.msg_controllen = sizeof control;
            if (recvmsg(client_.get(), &message, MSG_CMSG_CLOEXEC) <= 0) return false;
            if (const cmsghdr* h = CMSG_FIRSTHDR(&message); h && h->cmsg_type == SCM_RIGHTS) {
                int fd = -1;
                memcpy(&fd, CMSG_DATA(h), sizeof fd);
                close(fd);
                ++descriptors;
            }
            if (c == '\n') break;
            line += c;
        }
        heard.push_back(line);
        return true;
    }
    std::vector<std::string> script_;
    Fd listener_;
    Fd client_;
    std::thread thread_;
};

const std::string kGreeting = "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n";
const std::string kReady = "{\"return\": {}, \"id\": 1}\r\n";

class QmpTest : public ::testing::Test {
  protected:
    Result<std::shared_ptr<Qmp>> connect(Milliseconds limit = kLimit) {
        return wait_for<std::shared_ptr<Qmp>>(
            io, [&](auto done) { Qmp::connect(io, path, limit, done); });
    }
    Result<json::value> execute(Qmp& qmp, const std::string& command, Milliseconds limit = kLimit,
                                Fd pass = Fd()) {
        return wait_for<json::value>(io, [&](auto done) {
            qmp.execute(command, {{"a", 1}}, limit, done, std::move(pass));
        });
    }
    TemporaryDirectory directory;
    std::string path = directory.path + "/qmp";
    asio::io_context io;
};

TEST_F(QmpTest, ACommandGetsItsAnswerAndEventsCome) {
    FakeMonitor monitor(
        path, kGreeting,
        {kReady,
         "{\"timestamp\": {\"seconds\": 3, \"microseconds\": 5}, \"event\": \"STOP\"}\r\n"
         "{\"return\": {\"status\": \"paused\"}, \"id\": 2}\r\n"});
    auto qmp = connect();
    ASSERT_TRUE(qmp) << qmp.error().text();
    std::vector<QmpEvent> events;
    (*qmp)->set_handlers({[&](const QmpEvent& e) { events.push_back(e); }, {}});
    auto reply = execute(**qmp, "query-status");
    ASSERT_TRUE(reply) << reply.error().text();
    EXPECT_EQ(reply->at("status"), "paused");
    ASSERT_EQ(events.size(), 1U);
    EXPECT_EQ(events[0].name, "STOP");
    EXPECT_EQ(events[0].at_ns, 3'000'005'000);
    EXPECT_EQ(json::parse(monitor.heard[1]).at("execute"), "query-status");
    (*qmp)->close();
}

// QEMU says -1 where it knows no time, and a broken one may say anything: then it is our time that counts.
TEST_F(QmpTest, ATimeThatCannotBeIsNotTaken) {
    FakeMonitor monitor(path, kGreeting,
                        {kReady,
                         "{\"timestamp\": {\"seconds\": 9223372036854775807, "
                         "\"microseconds\": 9223372036854775807}, \"event\": \"STOP\"}\r\n"
                         "{\"timestamp\": {\"seconds\": -1, \"microseconds\": -1}, "
                         "\"event\": \"STOP\"}\r\n"
                         "{\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 2}\r\n"});
    auto qmp = connect();
    ASSERT_TRUE(qmp) << qmp.error().text();
    std::vector<QmpEvent> events;
    (*qmp)->set_handlers({[&](const QmpEvent& e) { events.push_back(e); }, {}});
    const std::int64_t before = now_ns();
    ASSERT_TRUE(execute(**qmp, "stop"));
    ASSERT_EQ(events.size(), 3U);
    for (const QmpEvent& e : events) EXPECT_GE(e.at_ns, before);
    (*qmp)->close();
}

TEST_F(QmpTest, AnErrorIsQemusText) {
    FakeMonitor monitor(path, kGreeting,
                        {kReady,
                         "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no way\"}, "
                         "\"id\": 2}\r\n"});
    auto qmp = connect();
    ASSERT_TRUE(qmp);
    auto reply = execute(**qmp, "migrate");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().text(), "QEMU's migrate (" + path + "): no way");
    (*qmp)->close();
}

TEST_F(QmpTest, ADescriptorGoesAlong) {
    FakeMonitor monitor(path, kGreeting, {kReady, "{\"return\": {}, \"id\": 2}\r\n"});
    auto qmp = connect();
    ASSERT_TRUE(qmp);
    ASSERT_TRUE(execute(**qmp, "getfd", kLimit, Fd(dup(0))));
    EXPECT_EQ(monitor.descriptors, 1);
    (*qmp)->close();
}

TEST_F(QmpTest, ACommandWithoutAnswerEndsAtItsDeadlineAndTheNextOneWorks) {
    FakeMonitor monitor(path, kGreeting,
                        {kReady, "",
                         "{\"return\": {}, \"id\": 2}\r\n"
                         "{\"return\": {}, \"id\": 3}\r\n"});
    auto qmp = connect();
    ASSERT_TRUE(qmp);
    auto reply = execute(**qmp, "stop", Milliseconds(100));
    ASSERT_FALSE(reply);
    EXPECT_NE(reply.error().text().find("no answer in 100 ms"), std::string::npos);
    EXPECT_TRUE(execute(**qmp, "cont"));
    (*qmp)->close();
}

TEST_F(QmpTest, WhenItClosesOpenCommandsAndTheOwnerAreTold) {
    FakeMonitor monitor(path, kGreeting, {kReady, "close"});
    auto qmp = connect();
    ASSERT_TRUE(qmp);
    bool closed = false;
    (*qmp)->set_handlers({{}, [&](const Error&) { closed = true; }});
    auto reply = execute(**qmp, "migrate");
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().kind, ErrorKind::unreachable);
    EXPECT_TRUE(run_until(io, [&] { return closed; }));
    EXPECT_FALSE(execute(**qmp, "cont")) << "and later ones, too";
}

TEST_F(QmpTest, NonsenseEndsTheConnection) {
    for (const std::string text : {"hello\r\n", "[]\r\n", "{}\r\n", "{\"id\": 2}\r\n"}) {
        TemporaryDirectory its_own;
        path = its_own.path + "/qmp";
        FakeMonitor monitor(path, kGreeting, {kReady, text});
        auto qmp = connect();
        ASSERT_TRUE(qmp);
        EXPECT_FALSE(execute(**qmp, "stop")) << text;
        EXPECT_FALSE((*qmp)->is_open());
    }
}

TEST_F(QmpTest, AMonitorThatServesAnotherClientIsAnError) {
    FakeMonitor monitor(path, "", {});
    auto qmp = connect(Milliseconds(100));
    ASSERT_FALSE(qmp);
    EXPECT_NE(qmp.error().why.find("another client"), std::string::npos);
}

TEST_F(QmpTest, NoMonitorAndALongPathAreErrors) {
    EXPECT_FALSE(connect());
    path = directory.path + "/" + std::string(200, 'x');
    auto qmp = connect();
    ASSERT_FALSE(qmp);
    EXPECT_NE(qmp.error().why.find("too long"), std::string::npos);
}

}  // namespace
}  // namespace grl::bridge
