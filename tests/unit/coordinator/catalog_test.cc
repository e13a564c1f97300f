// The catalog: what survives which damage.
#include "coordinator/store/catalog.h"
#include "grl/messages/reports.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace grl::coordinator {
namespace {

namespace fs = std::filesystem;

class CatalogTest : public testing::Test {
  protected:
    void SetUp() override {
        char name[] = "/tmp/grl_catalog_XXXXXX";
        ASSERT_NE(mkdtemp(name), nullptr);
        dir_ = name;
        path_ = dir_ + "/catalog.db";
    }
    void TearDown() override { fs::remove_all(dir_); }

    std::unique_ptr<Catalog> open() {
        auto catalog = Catalog::open(path_);
        EXPECT_TRUE(catalog) << catalog.error().text();
        return catalog ? std::move(*catalog) : nullptr;
    }
    int files(const std::string& part) const {
        int n = 0;
        for (const auto& entry : fs::directory_iterator(dir_)) {
            n += entry.path().filename().string().find(part) != std::string::npos ? 1 : 0;
        }
        return n;
    }

    std::string dir_, path_;
};

Manifest manifest(std::uint32_t job, std::uint32_t line, std::uint32_t generation = 0) {
    Manifest m;
    m.cluster = "lab";
    m.job = job;
    m.line = line;
    m.uid = 1000;
    m.generation = generation;
    m.proof = {2, 10, 9, 1};
    m.phases = {{Phase::request, 1'000, 1}, {Phase::drain, 2'000, 3}};
    ManifestGuest g;
    g.name = "g1";
    g.host = "h1";
    g.image = "g1.img";
    g.digest = std::string(32, 'a');
    g.stored_bytes = 7;
    m.guests.push_back(g);
    return m;
}

LineReport aborted(std::uint32_t job, std::uint32_t line) {
    LineReport r;
    r.job = job;
    r.line = line;
    r.phase = Phase::aborted;
    r.reason = "host h2 is lost";
    return r;
}

void put(Catalog& c, const Manifest& m) {
    auto done = c.put_committed(m, report_of(m));
    EXPECT_TRUE(done) << done.error().text();
}

void spoil(const std::string& path, std::streamoff at, std::size_t bytes) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    const std::string junk(bytes, '\x5a');
    file.write(junk.data(), static_cast<std::streamsize>(junk.size()));
}

TEST_F(CatalogTest, AFileThatIsNoDatabaseIsPutAside) {
    std::ofstream(path_) << std::string(5000, 'x');
    auto c = open();
    ASSERT_TRUE(c);
    EXPECT_EQ(files(".torn-"), 1);
    EXPECT_EQ(*c->take_line(7), 1U);
}

TEST_F(CatalogTest, ATornFileIsPutAsideAndFilledFromManifests) {
    {
        auto c = open();
        for (std::uint32_t line = 1; line <= 60; ++line) put(*c, manifest(7, line));
    }
    fs::resize_file(path_, fs::file_size(path_) / 2);
    {
        auto c = open();
        ASSERT_TRUE(c);
        EXPECT_EQ(files(".torn-"), 1);
        EXPECT_TRUE(c->committed(7)->empty());
        auto change = c->reconcile({manifest(7, 41, 3), manifest(7, 40), manifest(8, 2)});
        ASSERT_TRUE(change);
        EXPECT_EQ(change->added.size(), 3U);
        EXPECT_EQ(*c->take_line(7), 42U);
        EXPECT_EQ(*c->generation(7), 3U);
        EXPECT_EQ(c->last_committed(7)->line, 41U);
    }
}

TEST_F(CatalogTest, AFlippedPageIsFound) {
    {
        auto c = open();
        for (std::uint32_t line = 1; line <= 60; ++line) put(*c, manifest(7, line));
    }
    spoil(path_, 4096, 4096);
    auto c = open();
    ASSERT_TRUE(c);
    EXPECT_EQ(files(".torn-"), 1);
}

TEST_F(CatalogTest, ASecondWriterIsRefused) {
    auto c = open();
    auto second = Catalog::open(path_);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().kind, ErrorKind::refused);
    EXPECT_NE(second.error().why.find("another coordinator"), std::string::npos);
    EXPECT_EQ(files(".torn-"), 0);
    EXPECT_EQ(*c->take_line(7), 1U);
}

TEST_F(CatalogTest, ADirectoryThatIsMissingIsAnError) {
    auto c = Catalog::open(dir_ + "/none/catalog.db");
    ASSERT_FALSE(c);
    EXPECT_NE(c.error().text().find("/none/catalog.db"), std::string::npos);
}

TEST_F(CatalogTest, AMissingFileIsMade) {
    EXPECT_TRUE(open());
}

TEST_F(CatalogTest, AFileOfANewerReleaseIsLeftAlone) {
    open();
    {
        auto db = Database::open(path_);
        ASSERT_TRUE((*db)->run("PRAGMA user_version=99"));
    }
    auto c = Catalog::open(path_);
    ASSERT_FALSE(c);
    EXPECT_NE(c.error().why.find("newer release"), std::string::npos);
    EXPECT_EQ(files(".torn-"), 0);
}

TEST_F(CatalogTest, NumbersAreNeverGivenTwice) {
    {
        auto c = open();
        EXPECT_EQ(*c->take_line(7), 1U);
        EXPECT_EQ(*c->take_line(7), 2U);
        EXPECT_EQ(*c->take_line(8), 1U);
    }
    auto c = open();
    EXPECT_EQ(*c->take_line(7), 3U);
    put(*c, manifest(7, 3));
    EXPECT_TRUE(c->remove_line({7, 3}));
    EXPECT_TRUE(c->reconcile({}));
    EXPECT_EQ(*c->take_line(7), 4U);
}

TEST_F(CatalogTest, GenerationsOnlyRise) {
    {
        auto c = open();
        EXPECT_EQ(*c->generation(7), 0U);
        EXPECT_EQ(*c->raise_generation(7, 0), 1U);
        EXPECT_EQ(*c->raise_generation(7, 5), 6U);
    }
    auto c = open();
    EXPECT_EQ(*c->generation(7), 6U);
    put(*c, manifest(7, 9, 2));
    EXPECT_EQ(*c->generation(7), 6U);
    EXPECT_EQ(*c->raise_generation(7, 0), 7U);
}

TEST_F(CatalogTest, AbortedLinesAreHistoryNotLines) {
    auto c = open();
    put(*c, manifest(7, 1));
    for (std::uint32_t line = 2; line <= 40; ++line) {
        ASSERT_TRUE(c->put_aborted(aborted(7, line)));
    }
    EXPECT_EQ(c->last_committed(7)->line, 1U);
    EXPECT_EQ(c->committed(7)->size(), 1U);
    auto reports = c->reports(7);
    ASSERT_TRUE(reports);
    EXPECT_EQ(reports->size(), 17U);  // the newest sixteen, and the one that stands
    EXPECT_EQ(reports->back().line, 40U);
    EXPECT_EQ(reports->back().reason, "host h2 is lost");
    EXPECT_EQ(c->manifest({7, 40}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(c->manifest({7, 40}).error().why, "that line was aborted");
}

TEST_F(CatalogTest, ReconcileDropsWhatIsGone) {
    auto c = open();
    put(*c, manifest(7, 1));
    put(*c, manifest(7, 2));
    ASSERT_TRUE(c->put_aborted(aborted(7, 3)));
    auto change = c->reconcile({manifest(7, 2)});
    ASSERT_TRUE(change);
    ASSERT_EQ(change->dropped.size(), 1U);
    EXPECT_EQ(change->dropped[0].line, 1U);
    EXPECT_TRUE(change->added.empty());
    EXPECT_EQ(c->reports(7)->size(), 2U);
}

TEST_F(CatalogTest, WhatIsNotThereIsNotFound) {
    auto c = open();
    EXPECT_EQ(c->manifest({7, 1}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(c->report({7, 1}).error().kind, ErrorKind::not_found);
    EXPECT_EQ(c->last_committed(7).error().kind, ErrorKind::not_found);
    EXPECT_TRUE(c->last_lines()->empty());
    EXPECT_TRUE(c->reports(std::nullopt)->empty());
}

TEST_F(CatalogTest, AListComesInPages) {
    auto c = open();
    for (std::uint32_t line = 1; line <= 3; ++line) put(*c, manifest(7, line));
    put(*c, manifest(8, 1));
    LineId last;
    std::vector<std::uint32_t> seen;
    for (bool more = true; more;) {
        auto page = c->reports(std::nullopt, last, 1);
        ASSERT_TRUE(page);
        ASSERT_EQ(page->reports.size(), 1U);
        last = {page->reports[0].job, page->reports[0].line};
        seen.push_back(last.job * 10 + last.line);
        more = page->more;
    }
    EXPECT_EQ(seen, (std::vector<std::uint32_t>{71, 72, 73, 81}));
    EXPECT_EQ(c->reports(7, {}, 1U << 20)->reports.size(), 3U);
}

// 1 2 3 of generation 0; back to 2, and 4 5; back to 4, and 6; back to 3 by its number.
TEST_F(CatalogTest, ATimeLineIsWhatLeadsToNow) {
    using Line = std::vector<std::uint32_t>;
    auto c = open();
    for (std::uint32_t line = 1; line <= 3; ++line) put(*c, manifest(7, line));
    EXPECT_EQ(*c->time_line(7), (Line{1, 2, 3}));
    ASSERT_EQ(*c->raise_generation(7, 0, 2), 1U);
    EXPECT_EQ(*c->time_line(7), (Line{1, 2}));
    for (std::uint32_t line = 4; line <= 5; ++line) put(*c, manifest(7, line, 1));
    EXPECT_EQ(*c->time_line(7), (Line{1, 2, 4, 5}));
    ASSERT_EQ(*c->raise_generation(7, 0, 4), 2U);
    put(*c, manifest(7, 6, 2));
    EXPECT_EQ(*c->time_line(7), (Line{1, 2, 4, 6}));
    ASSERT_EQ(*c->raise_generation(7, 0, 3), 3U);
    EXPECT_EQ(*c->time_line(7), (Line{1, 2, 3}));
    EXPECT_EQ(c->last_committed(7)->line, 3U);
    EXPECT_EQ(*c->committed(7), (Line{1, 2, 3, 4, 5, 6}));
}

TEST_F(CatalogTest, ALineWhoseManifestCouldNotBeReadStays) {
    auto c = open();
    put(*c, manifest(7, 1));
    put(*c, manifest(7, 2));
    auto change = c->reconcile({manifest(7, 1)}, {{7, 2}});
    ASSERT_TRUE(change);
    EXPECT_TRUE(change->dropped.empty());
    EXPECT_EQ(*c->committed(7), (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(CatalogTest, ManifestsAndPlacesComeBackAsTheyWere) {
    {
        auto c = open();
        put(*c, manifest(7, 1));
        put(*c, manifest(7, 2, 4));
        ASSERT_TRUE(c->put_place("g1", "h1"));
        ASSERT_TRUE(c->put_place("g1", "h4"));
        ASSERT_TRUE(c->put_place("g2", "h2"));
        ASSERT_TRUE(c->put_fenced("h2"));
    }
    auto c = open();
    EXPECT_EQ(to_json(*c->manifest({7, 2})), to_json(manifest(7, 2, 4)));
    EXPECT_EQ(c->report({7, 2})->drain_ms, 3);
    EXPECT_EQ(c->last_lines()->at(7).line, 2U);
    EXPECT_EQ(c->last_lines()->at(7).uid, 1000U);
    EXPECT_EQ(*c->places(), (std::map<std::string, std::string>{{"g1", "h4"}}));
}

}  // namespace
}  // namespace grl::coordinator
