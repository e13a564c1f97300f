// Files are replaced whole, whoever else writes them.
#include "grl/base/file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace grl {
namespace {

namespace fs = std::filesystem;

struct Files : testing::Test {
    fs::path dir = fs::temp_directory_path() / ("grl-file-" + std::to_string(getpid()));
    std::string path = (dir / "place.json").string();

    void SetUp() override { fs::create_directories(dir); }
    void TearDown() override { fs::remove_all(dir); }
};

TEST_F(Files, AReplacedFileHasTheNewTextAndLeavesNothingBeside) {
    ASSERT_TRUE(replace_file(path, "old"));
    ASSERT_TRUE(replace_file(path, "new"));
    EXPECT_EQ(read_file(path).value(), "new");
    EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
}

// Hosts made from one image have the same pids, and one directory on shared storage.
TEST_F(Files, AWriterOnAnotherHostWithThisPidIsNotInTheWay) {
    fs::create_directory(path + ".tmp." + std::to_string(getpid()));
    EXPECT_TRUE(replace_file(path, "text"));
}

TEST_F(Files, WhatCannotBeReplacedStays) {
    fs::create_directories(fs::path(path) / "in the way");
    EXPECT_FALSE(replace_file(path, "text"));
    EXPECT_EQ(std::distance(fs::directory_iterator(dir), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace grl
