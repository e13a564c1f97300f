// Connections open only between those who hold the same MUNGE key. Real munged, of the test's own.
#include "grl/wire/handshake.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "grl/wire/credential.h"

extern char** environ;

namespace grl {
namespace {

namespace fs = std::filesystem;

// A munged with a key of its own, gone with the object.
class Munged {
  public:
    Munged(const fs::path& dir, char key) : socket_((dir / "munge.socket").string()) {
        fs::create_directories(dir);
        fs::permissions(dir, fs::perms(0755));
        std::ofstream(dir / "key") << std::string(64, key);
        fs::permissions(dir / "key", fs::perms(0400));
        std::vector<std::string> words = {"munged",
                                          "--foreground",
                                          "--force",
                                          "--num-threads=2",
                                          "--key-file=" + (dir / "key").string(),
                                          "--socket=" + socket_,
                                          "--pid-file=" + (dir / "pid").string(),
                                          "--log-file=" + (dir / "log").string(),
                                          "--seed-file=" + (dir / "seed").string()};
        std::vector<char*> argv;
        for (auto& w : words) argv.push_back(w.data());
        argv.push_back(nullptr);
        posix_spawn_file_actions_t quiet;
        posix_spawn_file_actions_init(&quiet);
        posix_spawn_file_actions_addopen(&quiet, 2, "/dev/null", O_WRONLY, 0);
        if (posix_spawn(&pid_, "/usr/sbin/munged", &quiet, nullptr, argv.data(), environ) != 0) {
            pid_ = -1;
        }
        posix_spawn_file_actions_destroy(&quiet);
        for (int i = 0; i < 1000 && !make_credential("up?", socket_); ++i) usleep(10'000);
    }
    ~Munged() {
        if (pid_ > 0) {
            kill(pid_, SIGTERM);
            waitpid(pid_, nullptr, 0);
        }
    }
    const std::string& socket() const { return socket_; }
    void signal(int number) const { kill(pid_, number); }

  private:
    std::string socket_;
    pid_t pid_ = -1;
};

struct Handshakes : testing::Test {
    fs::path dir = fs::temp_directory_path() / ("grl-handshake-" + std::to_string(getpid()));
    asio::io_context io;
    std::vector<Peer> accepted;
    std::string secret;
    std::uint32_t server_uid = 0;

    void SetUp() override {
        if (geteuid() != 0 || access("/usr/sbin/munged", X_OK) != 0) {
            GTEST_SKIP() << "needs root and munged";
        }
    }
    void TearDown() override { fs::remove_all(dir); }

    Result<std::shared_ptr<Channel>> connect(const std::string& ours, const std::string& theirs) {
        auto acceptor = Acceptor::listen(io, {"127.0.0.1", 0}, theirs,
                                         [&](std::shared_ptr<Channel>, Peer p) {
                                             accepted.push_back(std::move(p));
                                         });
        EXPECT_TRUE(acceptor) << acceptor.error().text();
        Result<std::shared_ptr<Channel>> outcome = fail("connecting", "", "nothing happened");
        ConnectOptions options;
        options.server = {"127.0.0.1", (*acceptor)->port()};
        options.munge_socket = ours;
        options.role = "ctl";
        options.name = "user";
        options.secret = secret;
        options.server_uid = server_uid;
        connect_channel(io, options, [&](Result<std::shared_ptr<Channel>> c) {
            outcome = std::move(c);
            io.stop();
        });
        io.restart();
        io.run_for(std::chrono::seconds(20));
        return outcome;
    }
};

TEST_F(Handshakes, SameKeyOpensAChannelWithAProvenPeer) {
    Munged munged(dir / "a", 'a');
    auto channel = connect(munged.socket(), munged.socket());
    ASSERT_TRUE(channel) << channel.error().text();
    ASSERT_EQ(accepted.size(), 1U);
    EXPECT_EQ(accepted[0].role, "ctl");
    EXPECT_EQ(accepted[0].uid, 0U);
    EXPECT_EQ(accepted[0].address, "127.0.0.1");
}

TEST_F(Handshakes, ASecretIsToldToTheServer) {
    Munged munged(dir / "a", 'a');
    secret = "of-both-ends";
    ASSERT_TRUE(connect(munged.socket(), munged.socket()));
    ASSERT_EQ(accepted.size(), 1U);
    EXPECT_EQ(accepted[0].secret, secret);
}

TEST_F(Handshakes, ASecretIsForTheServersUserAlone) {
    Munged munged(dir / "a", 'a');
    auto read_as = [&](std::uint32_t reader) {
        auto credential = make_credential("secret", munged.socket(), reader);
        EXPECT_TRUE(credential) << credential.error().text();
        return read_credential(credential ? *credential : "", munged.socket());
    };
    EXPECT_TRUE(read_as(geteuid()));
    EXPECT_FALSE(read_as(geteuid() + 1));
    // So an encrypted stream is refused by a server of another user than was said.
    secret = "of-both-ends";
    server_uid = geteuid() + 1;
    EXPECT_FALSE(connect(munged.socket(), munged.socket()));
    EXPECT_TRUE(accepted.empty());
}

TEST_F(Handshakes, AnotherKeyIsDenied) {
    Munged hosts(dir / "hosts", 'h'), guests(dir / "guests", 'g');
    auto channel = connect(guests.socket(), hosts.socket());
    ASSERT_FALSE(channel);
    EXPECT_EQ(channel.error().kind, ErrorKind::denied);
    EXPECT_TRUE(accepted.empty());
}

TEST_F(Handshakes, WithoutMungedTheErrorNamesTheSocket) {
    Munged munged(dir / "a", 'a');
    auto channel = connect("/nowhere/munge.socket", munged.socket());
    ASSERT_FALSE(channel);
    EXPECT_NE(channel.error().text().find("/nowhere/munge.socket"), std::string::npos)
        << channel.error().text();
}

TEST_F(Handshakes, AMungedThatDoesNotAnswerKeepsTheServersThreadFromNothing) {
    Munged server(dir / "server", 'a'), client(dir / "client", 'a');
    server.signal(SIGSTOP);
    int ticks = 0;
    asio::steady_timer timer(io);
    std::function<void()> tick = [&] {
        timer.expires_after(std::chrono::milliseconds(20));
        timer.async_wait([&](const boost::system::error_code& ec) {
            if (ec) return;
            if (++ticks == 25) server.signal(SIGCONT);
            tick();
        });
    };
    tick();
    auto channel = connect(client.socket(), server.socket());
    EXPECT_GE(ticks, 25);
    EXPECT_TRUE(channel) << channel.error().text();
    server.signal(SIGCONT);
}

TEST_F(Handshakes, NobodyListeningIsUnreachable) {
    ConnectOptions options;
    options.server = {"127.0.0.1", 9};
    options.role = "ctl";
    options.name = "user";
    std::string text;
    connect_channel(io, options, [&](Result<std::shared_ptr<Channel>> c) {
        ASSERT_FALSE(c);
        EXPECT_EQ(c.error().kind, ErrorKind::unreachable);
        text = c.error().text();
    });
    io.run_for(std::chrono::seconds(20));
    EXPECT_EQ(text, "opening a connection (127.0.0.1:9): Connection refused");
}

}  // namespace
}  // namespace grl
