// What operators see.
#include <gtest/gtest.h>

#include "coordinator/ctl/job_number.h"
#include "coordinator/ctl/reports.h"
#include "coordinator/ctl/table.h"
#include "coordinator/ctl/units.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {
namespace {

TEST(Units, AreHuman) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(1023), "1023 B");
    EXPECT_EQ(bytes_text(1536), "1.5 KiB");
    EXPECT_EQ(bytes_text(96ULL << 20), "96.0 MiB");
    EXPECT_EQ(mib_text(1024), "1.0 GiB");
    EXPECT_EQ(ms_text(0.4249), "0.42");
    EXPECT_EQ(ms_text(45.26), "45.3");
    EXPECT_EQ(ms_text(812.4), "812");
    EXPECT_EQ(duration_text(8200), "8.2 s");
    EXPECT_EQ(duration_text(200'000), "3 min 20 s");
    EXPECT_EQ(rate_text(100ULL << 20, 500'000'000), "200");
    EXPECT_EQ(rate_text(1, 0), "-");
    EXPECT_EQ(time_text(0), "-");
    EXPECT_EQ(user_text(0), "root");
    EXPECT_EQ(user_text(54321), "54321");
}

TEST(Reports, ARestoreSaysWhichLinesItPassedOver) {
    RestoreReport r;
    r.job = 12;
    r.line = 2;
    r.notes = {"line 3 was passed over: g2: its bytes have changed"};
    const std::string text = restore_text(r);
    EXPECT_NE(text.find("goes on from line 12/2"), std::string::npos) << text;
    EXPECT_NE(text.find("\nline 3 was passed over: g2: its bytes have changed\n"),
              std::string::npos)
        << text;
}

TEST(JobName, IsWhatSqueuePrints) {
    const auto plain = parse_job_name("12");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->job, 12U);
    EXPECT_FALSE(plain->task);
    const auto task = parse_job_name("5_3");
    ASSERT_TRUE(task);
    EXPECT_EQ(task->job, 5U);
    EXPECT_EQ(task->task, 3U);
    EXPECT_EQ(*job_number("12"), 12U);
    for (const char* bad :
         {"", "_", "5_", "_3", "5_x", "5_[0-3]", "5_3_1", "-1", "5_-1", "4294967296", "5.0"}) {
        const auto none = parse_job_name(bad);
        ASSERT_FALSE(none) << bad;
        EXPECT_EQ(none.error().kind, ErrorKind::usage);
    }
    EXPECT_NE(parse_job_name("5+1").error().why.find("heterogeneous"), std::string::npos);
}

TEST(Table, AlignsAndLeavesEmptyColumnsOut) {
    Table t({"NAME", ">MS", "NOTE", "LAST"});
    t.add({"a", "1", "", "x"});
    t.add({"longer", "1000", "", ""});
    EXPECT_EQ(t.text(),
              "NAME      MS  LAST\n"
              "a          1  x\n"
              "longer  1000\n");
    EXPECT_EQ(Table({"A"}).empty(), true);
}

TEST(Reports, AnEmptyClusterIsSaidSo) {
    StatusReport r;
    r.cluster = "lab";
    r.version = "0.1.0";
    EXPECT_EQ(status_text(r),
              "cluster lab, grl 0.1.0\n\nno host has been seen\n\nno protected job\n");
    EXPECT_EQ(list_text({}), "no lines\n");
}

TEST(Reports, StatusIsATableOfHostsAndJobs) {
    StatusReport r;
    r.cluster = "lab";
    r.version = "0.1.0";
    r.hosts.push_back(
        {"h1",
         true,
         "qemu",
         "QEMU 7.2.22",
         1024,
         768,
         {{"g1", GuestState::running, "", 256, ""}, {"g2", GuestState::paused, "", 256, ""}}});
    r.hosts.push_back({"h2", false, "qemu", "QEMU 7.2.22", 1024, 1024, {}});
    r.jobs.push_back({12, 0, 0, 1, 5, "ready", "", {"g1", "g2"}, 4, 0, 0});
    EXPECT_EQ(status_text(r),
              "cluster lab, grl 0.1.0\n"
              "\n"
              "HOST  STATE      VMM             FREE   MEMORY  GUESTS\n"
              "h1    connected  QEMU 7.2.22  768 MiB  1.0 GiB  g1 g2(paused)\n"
              "h2    away       QEMU 7.2.22  1.0 GiB  1.0 GiB\n"
              "\n"
              "JOB  STEP  USER  STATE  GEN  RANKS  EVERY  GUESTS\n"
              " 12     0  root  ready    1      4    5 s  g1 g2\n");
}

ShownLine shown() {
    ShownLine s;
    LineReport& r = s.report;
    r.job = 12;
    r.line = 3;
    r.phase = Phase::done;
    r.drain_ms = 1.234;
    r.pause_ms = 45.6;
    r.commit_ms = 812;
    r.proof = {6, 1200, 1180, 20};
    r.phases = {{Phase::drain, 0, 1.234}, {Phase::capture, 0, 40}};
    r.guests.push_back(
        {"g1", "h1", CaptureMethod::background, 100ULL << 20, 25ULL << 20, 30, true, ""});
    Manifest m;
    m.vmm_version = "QEMU 7.2.22";
    m.every_s = 5;
    ManifestGuest g;
    g.name = "g1";
    g.memory_mib = 256;
    g.raw_bytes = 100ULL << 20;
    g.stopped_at_ns = 1'000'000'000;
    g.durable_at_ns = 1'500'000'000;
    m.guests.push_back(g);
    s.manifest = to_json(m).as_object();
    return s;
}

TEST(Reports, ShowTellsPhasesRatesAndTheProof) {
    EXPECT_EQ(show_text(shown()),
              "line 12/3 is committed, generation 0\n"
              "user      root\n"
              "step      0, a line every 5 s\n"
              "vmm       QEMU 7.2.22\n"
              "taken     -\n"
              "drain     1.23 ms\n"
              "pause     45.6 ms\n"
              "commit    812 ms\n"
              "silence   6 ranks: 1200 operations issued, 1180 completed, 20 deferred\n"
              "\n"
              "PHASE    BEGAN    MS\n"
              "drain    -      1.23\n"
              "capture  -      40.0\n"
              "\n"
              "GUEST  HOST  METHOD       MEMORY        RAW    STORED  MiB/s  PAUSED MS\n"
              "g1     h1    background  256 MiB  100.0 MiB  25.0 MiB    200       30.0\n");
}

TEST(Reports, AnAbortedLineSaysWhy) {
    ShownLine s;
    s.report.job = 12;
    s.report.line = 4;
    s.report.phase = Phase::aborted;
    s.report.reason = "host h2 is lost";
    const std::string text = show_text(s);
    EXPECT_EQ(text.find("line 12/4 is aborted, generation 0\nreason    host h2 is lost\n"), 0U);
    EXPECT_NE(list_text({{s.report}}).find("12/4  aborted"), std::string::npos);
}

TEST(Reports, VerifyNamesTheDamage) {
    const VerifiedLine v{{{"g1", true, "", 1024}, {"g2", false, "its digest differs", 1024}}};
    EXPECT_EQ(verify_text({12, 3}, v),
              "line 12/3 is damaged\n"
              "\n"
              "GUEST  IMAGE   STORED  REASON\n"
              "g1     good   1.0 KiB\n"
              "g2     BAD    1.0 KiB  its digest differs\n");
}

TEST(Reports, ARestoreTellsItsStages) {
    RestoreReport r;
    r.job = 12;
    r.line = 3;
    r.generation = 1;
    r.stages = {"fence", "restore"};
    r.stage_ms = {1200, 800};
    r.total_ms = 2100;
    r.guests.push_back({"g1", "h4", CaptureMethod::none, 0, 1024, 0, true, ""});
    EXPECT_EQ(restore_text(r),
              "job 12 goes on from line 12/3, generation 1, after 2.1 s\n"
              "\n"
              "STAGE      MS\n"
              "fence    1200\n"
              "restore   800\n"
              "\n"
              "GUEST  HOST   STORED\n"
              "g1     h4    1.0 KiB\n");
}

}  // namespace
}  // namespace grl::coordinator
