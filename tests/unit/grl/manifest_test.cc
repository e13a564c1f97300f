// A line exists when its manifest does: torn, wrong or half-written ones are never one.
#include "grl/messages/manifest.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <mutex>
#include <thread>

#include "grl/base/file.h"

namespace grl {
namespace {

namespace fs = std::filesystem;

struct Manifests : testing::Test {
    fs::path dir = fs::temp_directory_path() / ("grl-manifest-" + std::to_string(getpid()));
    Manifest manifest;

    void SetUp() override {
        fs::create_directories(dir);
        manifest.cluster = "lab";
        manifest.job = 7;
        manifest.line = 3;
        manifest.proof = {3, 10, 9, 1};
        ManifestGuest g;
        g.name = "g1";
        g.image = "g1.img";
        g.digest = std::string(32, 'a');
        g.stored_bytes = 100;
        manifest.guests = {g};
    }
    void TearDown() override { fs::remove_all(dir); }

    std::string refused() {
        auto checked = check_manifest(manifest);
        return checked ? "accepted" : checked.error().why;
    }
};

TEST_F(Manifests, WrittenIsReadBack) {
    ASSERT_TRUE(write_manifest(dir, manifest));
    auto read = read_manifest(dir);
    ASSERT_TRUE(read) << read.error().text();
    EXPECT_EQ(to_json(*read), to_json(manifest));
    struct stat st {};
    ASSERT_EQ(stat((dir / kManifestName).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600U);
}

TEST_F(Manifests, TornAnywhereIsRefusedWithItsPath) {
    ASSERT_TRUE(write_manifest(dir, manifest));
    const std::string whole = *read_file((dir / kManifestName).string());
    for (std::size_t n = 0; n + 2 < whole.size(); n += 7) {
        std::ofstream(dir / kManifestName, std::ios::trunc) << whole.substr(0, n);
        auto read = read_manifest(dir);
        ASSERT_FALSE(read) << n;
        EXPECT_NE(read.error().where.find("manifest.json"), std::string::npos);
    }
}

TEST_F(Manifests, MissingIsNotFound) {
    auto read = read_manifest(dir);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().kind, ErrorKind::not_found);
}

TEST_F(Manifests, WhatDoesNotFitIsRefused) {
    auto refuse = [&](auto change) {
        Manifest kept = manifest;
        change();
        std::string why = refused();
        EXPECT_NE(why, "accepted");
        EXPECT_FALSE(write_manifest(dir, manifest));
        manifest = kept;
        return why;
    };
    EXPECT_EQ(refused(), "accepted");
    refuse([&] { manifest.format = 2; });
    refuse([&] { manifest.cluster = "../lab"; });
    refuse([&] { manifest.job = 0; });
    refuse([&] { manifest.line = 0; });
    refuse([&] { manifest.guests.clear(); });
    refuse([&] { manifest.guests.push_back(manifest.guests[0]); });
    refuse([&] { manifest.guests[0].image = "../../etc/shadow"; });
    refuse([&] { manifest.guests[0].digest = "zz"; });
    refuse([&] { manifest.guests[0].stored_bytes = 0; });
    refuse([&] { manifest.proof.ranks = 0; });
    EXPECT_NE(refuse([&] { manifest.proof.completed = 3; }).find("proof"), std::string::npos);
}

TEST_F(Manifests, TwoWritersLeaveOneWholeManifest) {
    std::vector<std::thread> writers;
    for (std::uint32_t line : {1U, 2U}) {
        writers.emplace_back([&, line] {
            Manifest mine = manifest;
            mine.line = line;
            mine.vmm_version = std::string(10000, 'x');
            // The name of the temporary file is the process's: in one process they take turns.
            for (int i = 0; i < 20; ++i) {
                static std::mutex turn;
                std::lock_guard lock(turn);
                ASSERT_TRUE(write_manifest(dir, mine));
            }
        });
    }
    for (int i = 0; i < 200; ++i) {
        auto read = read_manifest(dir);
        EXPECT_TRUE(read || read.error().kind == ErrorKind::not_found) << read.error().text();
    }
    for (auto& w : writers) w.join();
    ASSERT_TRUE(read_manifest(dir));
    EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
}

TEST_F(Manifests, FailureToWriteLeavesTheOldOne) {
    ASSERT_TRUE(write_manifest(dir, manifest));
    Manifest next = manifest;
    next.line = 9;
    EXPECT_FALSE(write_manifest(dir / "absent", next));
    EXPECT_EQ(read_manifest(dir)->line, 3U);
}

TEST(ValidName, TakesNoPathTricks) {
    EXPECT_TRUE(valid_name("g1"));
    EXPECT_TRUE(valid_name("node-01.cluster_a"));
    for (const char* bad : {"", ".", "..", ".hidden", "a/b", "a b", "a\n", "ä"}) {
        EXPECT_FALSE(valid_name(bad)) << bad;
    }
    EXPECT_FALSE(valid_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace grl
