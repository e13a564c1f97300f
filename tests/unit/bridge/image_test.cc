// Images: what goes in comes out, and whatever happens to a file is found.
#include <signal.h>
#include <sys/resource.h>

#include <random>

#include "tests/unit/bridge/support.h"
#include "vmm_bridge/base/digest.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/image/file.h"
#include "vmm_bridge/image/reader.h"
#include "vmm_bridge/image/writer.h"

namespace grl::bridge {
namespace {

std::string stream_of(std::size_t size) {
    std::mt19937 random(7);
    std::string bytes(size, '\0');
    // Half of it compresses.
    for (std::size_t i = 0; i < size; i += 2) bytes[i] = static_cast<char>(random());
    return bytes;
}

void send_all(int fd, const std::string& bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t n = send(fd, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
        if (n < 0) return;
        done += static_cast<std::size_t>(n);
    }
}

class ImageTest : public ::testing::Test {
  protected:
    std::shared_ptr<ImageWriter> open_writer() {
        ImageWriter::Options options;
        options.path = path;
        options.header.guest = "g1";
        options.header.job = 7;
        options.memory = std::make_shared<const std::uint64_t>(4U << 20);
        auto writer = ImageWriter::open(io, options);
        EXPECT_TRUE(writer);
        return *writer;
    }
    Result<WrittenImage> write(const std::string& bytes, bool seal = true) {
        auto writer = open_writer();
        return wait_for<WrittenImage>(io, [&](auto done) {
            auto pair = open_stream_pair();
            writer->start(std::move(pair->bridge), done);
            send_all(pair->vmm.get(), bytes);
            if (seal) writer->seal();
            if (!seal) writer->cancel(fail("capturing", "", "QEMU failed"));
        });
    }
    Result<std::string> unpack() {
        auto reader = ImageReader::open(path);
        if (!reader) return reader.error();
        auto pair = open_stream_pair();
        std::string out;
        std::thread taker([&, in = std::move(pair->vmm)] {
            char buffer[65536];
            for (ssize_t n; (n = read(in.get(), buffer, sizeof buffer)) > 0;) {
                out.append(buffer, static_cast<std::size_t>(n));
            }
        });
        Result<void> done = reader->unpack(pair->bridge.get());
        pair->bridge.reset();
        taker.join();
        if (!done) return done.error();
        return out;
    }

    TemporaryDirectory directory;
    std::string path = directory.path + "/g1.img";
    asio::io_context io;
};

// As storage that says it has written and has not.
TEST_F(ImageTest, AnImageThatDoesNotReadBackIsNotDurable) {
    Result<Fd> fd = ImageFile::create(path);
    ASSERT_TRUE(fd);
    ImageFile file(std::move(*fd), path);
    const std::string bytes = stream_of(3 << 20);
    ASSERT_TRUE(file.append(bytes.data(), bytes.size()));
    {
        std::fstream other(path, std::ios::binary | std::ios::in | std::ios::out);
        other.seekp(2 << 20);
        other.put(static_cast<char>(bytes[2 << 20] ^ 1));
    }
    auto finished = file.finish();
    ASSERT_FALSE(finished);
    EXPECT_NE(finished.error().why.find("storage does not have what was written"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(path + kChecksumSuffix));
}

TEST_F(ImageTest, WhatGoesInComesOut) {
    for (std::size_t size : {0U, 1U, 65536U, 20U << 20}) {
        const std::string bytes = stream_of(size);
        auto written = write(bytes);
        ASSERT_TRUE(written) << written.error().text();
        EXPECT_EQ(written->raw_bytes, size);
        EXPECT_EQ(written->stored_bytes, std::filesystem::file_size(path));
        EXPECT_EQ(written->digest, digest_of(read_text(path)));
        EXPECT_EQ(read_text(path + ".xxh128"), written->digest + "  g1.img\n");
        auto reader = ImageReader::open(path);
        ASSERT_TRUE(reader) << reader.error().text();
        EXPECT_EQ(reader->header().guest, "g1");
        EXPECT_TRUE(reader->verify(written->stored_bytes, written->digest));
        auto out = unpack();
        ASSERT_TRUE(out) << out.error().text();
        EXPECT_EQ(*out, bytes);
    }
}

TEST_F(ImageTest, IsForRootAlone) {
    ASSERT_TRUE(write("state"));
    EXPECT_EQ(std::filesystem::status(path).permissions(), std::filesystem::perms(0600));
}

TEST_F(ImageTest, AFlippedBitIsFoundWhereverItIs) {
    auto written = write(stream_of(1U << 20));
    ASSERT_TRUE(written);
    const std::string good = read_text(path);
    for (std::size_t at : {std::size_t{20}, good.size() / 3, good.size() - 30, good.size() - 1}) {
        std::string bad = good;
        bad[at] ^= 4;
        write_text(path, bad);
        auto reader = ImageReader::open(path);
        const bool found = !reader || !reader->verify(written->stored_bytes, written->digest);
        EXPECT_TRUE(found) << "at " << at << " of " << good.size();
    }
}

TEST_F(ImageTest, ATornFileIsFoundWhereverItEnds) {
    auto written = write(stream_of(1U << 20));
    ASSERT_TRUE(written);
    const std::string good = read_text(path);
    for (std::size_t size :
         {std::size_t{0}, std::size_t{8}, std::size_t{30}, good.size() / 2, good.size() - 1}) {
        write_text(path, good.substr(0, size));
        auto reader = ImageReader::open(path);
        ASSERT_FALSE(reader) << "of " << size << " bytes";
        EXPECT_EQ(reader.error().kind, ErrorKind::protocol);
    }
}

TEST_F(ImageTest, OfAStreamThatFailedThereIsNone) {
    auto written = write(stream_of(1U << 20), false);
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().text().find("QEMU failed"), std::string::npos);
    EXPECT_FALSE(ImageReader::open(path));
}

TEST_F(ImageTest, AFullDiskIsOneClearErrorAndTheStreamIsDrained) {
    rlimit before{};
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit small{1U << 20, before.rlim_max};
    auto writer = open_writer();
    setrlimit(RLIMIT_FSIZE, &small);
    // Far more than its memory and the file hold: send_all would hang if nobody read.
    const std::string bytes = stream_of(40U << 20);
    auto written = wait_for<WrittenImage>(io, [&](auto done) {
        auto pair = open_stream_pair();
        writer->start(std::move(pair->bridge), done);
        send_all(pair->vmm.get(), bytes);
    });
    setrlimit(RLIMIT_FSIZE, &before);
    ASSERT_FALSE(written);
    EXPECT_NE(written.error().text().find("too large"), std::string::npos)
        << written.error().text();
}

TEST_F(ImageTest, AnotherVersionIsNotRead) {
    ASSERT_TRUE(write("state"));
    std::string bytes = read_text(path);
    bytes[8] = 2;
    write_text(path, bytes);
    auto reader = ImageReader::open(path);
    ASSERT_FALSE(reader);
    EXPECT_NE(reader.error().why.find("version is 2"), std::string::npos) << reader.error().why;
}

}  // namespace
}  // namespace grl::bridge
