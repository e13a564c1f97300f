// The parts of the Xen driver that need no hypervisor, and what it says where there is none.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "grl/messages/opening.h"
#include "tests/unit/bridge/support.h"
#include "vmm_bridge/base/stream.h"
#include "vmm_bridge/drivers.h"
#include "vmm_bridge/xen/config.h"
#include "vmm_bridge/xen/driver.h"
#include "vmm_bridge/xen/log.h"
#include "vmm_bridge/xen/loop.h"
#include "vmm_bridge/xen/orphans.h"
#include "vmm_bridge/xen/stream.h"

namespace grl::bridge {
namespace {

GuestDefinition xen_definition() {
    GuestDefinition d = test_definition("g1", 192);
    d.driver = "xen";
    d.vcpus = 10;
    return d;
}

XenSection xen_part() {
    XenSection section;
    section.kernel = "/boot/vmlinux";
    section.append = "console=hvc0";
    section.disk = "/srv/root.img";
    section.nics = {{{}, "xenbr0", "00:16:3e:00:00:0b"}};
    return section;
}

TEST(Definition, DigestIsOfItsOwnDriversPart) {
    GuestDefinition d = xen_definition();
    const std::string digest = definition_digest(d);
    d.qemu["append"] = "quiet";
    EXPECT_EQ(definition_digest(d), digest);
    d.xen["append"] = "quiet";
    EXPECT_NE(definition_digest(d), digest);
    d.driver = "qemu";
    const std::string other = definition_digest(d);
    d.xen = {};
    EXPECT_EQ(definition_digest(d), other) << "as before there was a driver for Xen";
}

// ---- a domain's configuration ----

TEST(XenConfig, IsMadeOfADefinition) {
    Result<XenConfig> config = XenConfig::of(xen_definition(), xen_part(), {});
    ASSERT_TRUE(config) << config.error().text();
    const libxl_domain_config& c = **config;
    EXPECT_STREQ(c.c_info.name, "g1");
    EXPECT_EQ(c.c_info.type, LIBXL_DOMAIN_TYPE_PVH);
    EXPECT_EQ(c.b_info.type, LIBXL_DOMAIN_TYPE_PVH);
    EXPECT_EQ(c.b_info.max_memkb, 192U * 1024);
    EXPECT_EQ(c.b_info.max_vcpus, 10);
    EXPECT_EQ(libxl_bitmap_count_set(&c.b_info.avail_vcpus), 10);
    EXPECT_STREQ(c.b_info.kernel, "/boot/vmlinux");
    EXPECT_EQ(c.b_info.ramdisk, nullptr);
    ASSERT_EQ(c.num_disks, 1);
    EXPECT_EQ(c.disks[0].readwrite, 0) << "a line does not hold disks";
    ASSERT_EQ(c.num_nics, 1);
    EXPECT_STREQ(c.nics[0].bridge, "xenbr0");
    const std::uint8_t mac[] = {0, 0x16, 0x3e, 0, 0, 0x0b};
    EXPECT_EQ(std::memcmp(c.nics[0].mac, mac, sizeof mac), 0);
}

TEST(XenConfig, AdaptersAreGivenToParavirtualGuestsOnly) {
    GuestDefinition d = xen_definition();
    d.adapters = 1;
    XenSection section = xen_part();
    EXPECT_NE(xen_definition_fault(d, section).find("xen.type = \"pv\""), std::string::npos);
    section.type = "pv";
    EXPECT_EQ(xen_definition_fault(d, section), "");
    Result<XenConfig> config = XenConfig::of(d, section, {{1, 0x3b, 2, 7}});
    ASSERT_TRUE(config) << config.error().text();
    ASSERT_EQ((**config).num_pcidevs, 1);
    EXPECT_EQ((**config).pcidevs[0].domain, 1);
    EXPECT_EQ((**config).pcidevs[0].bus, 0x3b);
    EXPECT_EQ((**config).pcidevs[0].dev, 2);
    EXPECT_EQ((**config).pcidevs[0].func, 7);
    config->forget_devices();
    EXPECT_EQ((**config).num_pcidevs, 0);
}

TEST(XenConfig, EachDomainHasItsOwnUuid) {
    Result<XenConfig> one = XenConfig::of(xen_definition(), xen_part(), {});
    Result<XenConfig> other = XenConfig::of(xen_definition(), xen_part(), {});
    ASSERT_TRUE(one && other);
    EXPECT_EQ(one->uuid().size(), 36U);
    EXPECT_NE(one->uuid(), other->uuid());
}

TEST(XenConfig, FaultsAreNamed) {
    const GuestDefinition d = xen_definition();
    XenSection section = xen_part();
    section.type = "hvm";
    EXPECT_EQ(xen_definition_fault(d, section), "xen.type is \"hvm\"; there are: pvh, pv");
    section = xen_part();
    section.kernel.clear();
    EXPECT_EQ(xen_definition_fault(d, section), "xen.kernel must be given");
    section = xen_part();
    for (const char* mac : {"00:16:3e:00:00", "00:16:3e:00:00:0b:0c", "nonsense", ""}) {
        section.nics[0].mac = mac;
        EXPECT_NE(xen_definition_fault(d, section).find("is no MAC address"), std::string::npos) << mac;
    }
    EXPECT_FALSE(XenConfig::of(d, section, {}));
}

// ---- the head of a stream ----

TEST(XenStream, HeadGoesThereAndBack) {
    asio::io_context io;
    Result<StreamPair> pair = open_stream_pair();
    ASSERT_TRUE(pair);
    ASSERT_TRUE(write_xen_head(pair->bridge, "{\"name\":\"g1\"}"));
    const std::string begin("LibxlFmt\0\0\0\2\0\0\0\0\1\0\0\0\0\0\0\0", 24);
    ASSERT_EQ(write(pair->bridge.get(), begin.data(), 16), 16);
    asio::steady_timer later(io, std::chrono::milliseconds(20));
    later.async_wait([&](boost::system::error_code) {
        EXPECT_EQ(write(pair->bridge.get(), begin.data() + 16, 8), 8);
    });
    auto read_back = wait_for<std::shared_ptr<XenStream>>(io, [&](auto done) {
        read_xen_head(io, std::move(pair->vmm), std::chrono::milliseconds(5000), done);
    });
    ASSERT_TRUE(read_back) << read_back.error().text();
    EXPECT_EQ((*read_back)->configuration, "{\"name\":\"g1\"}");
    const int stream = (*read_back)->stream.get();
    EXPECT_EQ(fcntl(stream, F_GETFL) & O_NONBLOCK, 0) << "libxenlight's helper must wait in it";
    char rest[32] = {};
    EXPECT_EQ(read(stream, rest, sizeof rest), 24) << "no byte more was taken";
}

// libxenlight does not survive one that ends before its helper runs.
TEST(XenStream, WhatFollowsTheHeadMustBeLibxenlights) {
    asio::io_context io;
    struct Case {
        std::string rest;
        bool ends;
        std::string why;
    };
    const std::string big_endian("LibxlFmt\0\0\0\2\0\0\0\1\1\0\0\0\0\0\0\0", 24);
    for (const Case& c :
         {Case{"", true, "it ends after its head"},
          Case{"LibxlFmt", true, "it ends after its head"},
          Case{"LibxlFmt", false, "libxenlight's part of it did not come in time"},
          Case{std::string(24, 'x'), false, "what follows its head is not libxenlight's"},
          Case{big_endian, false, "what follows its head is not libxenlight's"}}) {
        Result<StreamPair> pair = open_stream_pair();
        ASSERT_TRUE(pair);
        ASSERT_TRUE(write_xen_head(pair->bridge, "{}"));
        ASSERT_EQ(write(pair->bridge.get(), c.rest.data(), c.rest.size()), std::ssize(c.rest));
        if (c.ends) pair->bridge.reset();
        auto none = wait_for<std::shared_ptr<XenStream>>(io, [&](auto done) {
            read_xen_head(io, std::move(pair->vmm), std::chrono::milliseconds(50), done);
        });
        ASSERT_FALSE(none);
        EXPECT_EQ(none.error().why, c.why);
    }
}

TEST(XenStream, ForeignAndTornHeadsAreRefused) {
    const std::string good = *encode_xen_head("{}");
    EXPECT_EQ(*decode_xen_head(good.substr(0, kXenHeadBytes)), 2U);
    EXPECT_FALSE(decode_xen_head(good.substr(0, kXenHeadBytes - 1)));
    std::string foreign = good.substr(0, kXenHeadBytes);
    foreign[0] = 'X';
    EXPECT_FALSE(decode_xen_head(foreign));
    std::string newer = good.substr(0, kXenHeadBytes);
    newer[8] = 2;
    Result<std::size_t> refused = decode_xen_head(newer);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::protocol);
    EXPECT_EQ(refused.error().why, "it is of version 2; this release reads 1");
    std::string endless = good.substr(0, kXenHeadBytes);
    endless[15] = 0x7f;
    EXPECT_FALSE(decode_xen_head(endless));
}

TEST(XenStream, AHeadThatDoesNotComeIsAnError) {
    asio::io_context io;
    Result<StreamPair> pair = open_stream_pair();
    ASSERT_TRUE(pair);
    auto none = wait_for<std::shared_ptr<XenStream>>(io, [&](auto done) {
        read_xen_head(io, std::move(pair->vmm), std::chrono::milliseconds(20), done);
    });
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().why, "its head did not come in time");
}

// ---- what libxenlight says ----

TEST(XenLog, KeepsErrorsWithoutTheirPlace) {
    XenLog log;
    log.add(XTL_DEBUG, -1, "libxl", "libxl_dom.c:7:f: Domain 3:not this");
    log.add(XTL_ERROR, -1, "libxl", "libxl_dom.c:7:some_function: Domain 3:no room");
    log.add(XTL_ERROR, ENOSPC, "xc", "writing");
    log.add(XTL_ERROR, ENOSPC, "xc", "writing");
    EXPECT_EQ(log.reason(), "no room; writing: No space left on device");
    log.clear();
    EXPECT_EQ(log.reason(), "");
}

TEST(XenLog, TellsARefusedLogDirtyFromOtherFailures) {
    XenLog log;
    log.add(XTL_ERROR, -1, "xc", "Failed to enable logdirty: 95,95,95");
    EXPECT_TRUE(log.mentions(kLogDirtyWords));
    log.clear();
    log.add(XTL_ERROR, -1, "libxl", "guest didn't acknowledge suspend, cancelling request");
    EXPECT_FALSE(log.mentions(kLogDirtyWords));
}

TEST(XenLog, TakesWhatTheCLibrarySends) {
    XenLog log;
    std::string seen;
    log.watch_progress([&](const std::string& what, unsigned long done, unsigned long total) {
        seen = what + " " + std::to_string(done) + "/" + std::to_string(total);
    });
    xtl_log(log.logger(), XTL_ERROR, -1, "xc", "page %d", 7);
    xtl_progress(log.logger(), "xc", "Frames iteration 0", 5, 10);
    EXPECT_EQ(log.reason(), "page 7");
    EXPECT_EQ(seen, "Frames iteration 0 5/10");
}

TEST(XenMigration, IsNearlyCopiedShortlyBeforeTheEnd) {
    EXPECT_FALSE(nearly_copied(0, 1U << 20));
    EXPECT_FALSE(nearly_copied(49152, 1U << 20)) << "a hole is left";
    EXPECT_TRUE(nearly_copied((1U << 20) - 2048, 1U << 20));
    EXPECT_TRUE(nearly_copied(1U << 20, 1U << 20));
}

// ---- the event loop ----

struct XenLoopTest : ::testing::Test {
    XenLoopTest() {
        EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
        EXPECT_TRUE(loop->open({[this](void* tag, int fd, short, short occurred) {
                                    fds.emplace_back(tag, fd, occurred);
                                    if (on_fd) on_fd();
                                },
                                [this](void* tag) { timeouts.push_back(tag); }}));
    }
    ~XenLoopTest() override {
        loop->close();
        close(ends[0]);
        close(ends[1]);
    }
    void run(int milliseconds) {
        io.restart();
        io.run_for(std::chrono::milliseconds(milliseconds));
    }
    asio::io_context io;
    std::shared_ptr<XenLoop> loop = std::make_shared<XenLoop>(io);
    int ends[2] = {-1, -1};
    int tag = 0;
    std::vector<std::tuple<void*, int, short>> fds;
    std::vector<void*> timeouts;
    std::function<void()> on_fd;
};

TEST_F(XenLoopTest, TellsAsLongAsThereIsSomethingToRead) {
    const std::uint64_t watch = loop->watch(ends[0], POLLIN, &tag);
    ASSERT_NE(watch, 0U);
    run(20);
    EXPECT_TRUE(fds.empty());
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    run(20);
    ASSERT_GE(fds.size(), 2U) << "libxenlight may take only some of it";
    EXPECT_EQ(fds[0], std::make_tuple(static_cast<void*>(&tag), ends[0], short{POLLIN}));
    loop->forget(watch);
    fds.clear();
    run(20);
    EXPECT_TRUE(fds.empty());
    EXPECT_EQ(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0) << "it is also libxenlight's helper's";
}

TEST_F(XenLoopTest, OneDescriptorMayBeWatchedTwice) {
    int other = 0;
    const std::uint64_t one = loop->watch(ends[0], POLLIN, &tag);
    const std::uint64_t two = loop->watch(ends[0], POLLIN, &other);
    ASSERT_TRUE(one != 0 && two != 0);
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    on_fd = [&] {
        loop->forget(one);
        loop->forget(two);
    };
    run(20);
    EXPECT_EQ(fds.size(), 1U) << "one that the other has ended is not called";
}

TEST_F(XenLoopTest, WhoWantsNothingIsNotToldAndMayWantMoreLater) {
    const std::uint64_t watch = loop->watch(ends[0], 0, &tag);
    close(ends[1]);  // a hang-up is told even so
    ends[1] = -1;
    run(20);
    EXPECT_TRUE(fds.empty());
    ASSERT_TRUE(loop->change(watch, POLLIN));
    run(20);
    EXPECT_FALSE(fds.empty());
}

TEST_F(XenLoopTest, WhatOccursWhileItIsHeldIsToldAfterwards) {
    ASSERT_NE(loop->watch(ends[0], POLLIN, &tag), 0U);
    loop->hold();
    ASSERT_EQ(write(ends[1], "x", 1), 1);
    run(20);
    EXPECT_TRUE(fds.empty());
    loop->go_on();
    loop->go_on();
    on_fd = [this] { loop->hold(); };
    run(20);
    EXPECT_EQ(fds.size(), 1U);
}

TEST_F(XenLoopTest, TimeoutsOccurOnceAndCanBeHastened) {
    timeval soon{};
    gettimeofday(&soon, nullptr);
    timeval late = soon;
    late.tv_sec += 3600;
    int other = 0;
    loop->add_timeout(soon, &tag);
    const std::uint64_t hastened = loop->add_timeout(late, &other);
    run(20);
    EXPECT_EQ(timeouts, std::vector<void*>{&tag});
    loop->expire(hastened);
    run(20);
    EXPECT_EQ(timeouts, (std::vector<void*>{&tag, &other}));
    loop->expire(hastened);
    run(20);
    EXPECT_EQ(timeouts.size(), 2U);
}

// ---- orphans ----

TEST(XenOrphans, AreHelpersWithoutAParent) {
    TemporaryDirectory proc;
    auto add = [&](const std::string& pid, const std::string& comm, const std::string& parent) {
        mkdir((proc.path + "/" + pid).c_str(), 0700);
        write_text(proc.path + "/" + pid + "/comm", comm + "\n");
        write_text(proc.path + "/" + pid + "/status", "Name:\tx\nPPid:\t" + parent + "\n");
    };
    add("100", "libxl-save-help", "1");
    add("101", "libxl-save-help", "50");  // some xl's
    add("102", "bash", "1");
    EXPECT_EQ(orphaned_helpers(proc.path), std::vector<pid_t>{100});
}

// ---- without a hypervisor ----

TEST(XenDriver, SaysSoWhereThereIsNoXen) {
    if (access("/dev/xen/privcmd", F_OK) == 0) GTEST_SKIP() << "this is a Xen host";
    TemporaryDirectory run;
    asio::io_context io;
    XenDriver driver(io, run.path, {});
    auto opened = wait_for<Done>(io, [&](Callback<Done> done) { driver.open({}, done); });
    ASSERT_FALSE(opened);
    const std::string text = opened.error().text();
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
    if (geteuid() == 0) {
        EXPECT_EQ(opened.error().kind, ErrorKind::refused);
        EXPECT_NE(text.find("privileged command interface"), std::string::npos) << text;
        EXPECT_NE(text.find("must be Xen's dom0"), std::string::npos) << text;
    } else {
        EXPECT_EQ(opened.error().kind, ErrorKind::denied);
    }
}

TEST(Drivers, AreNamedWhenOneIsUnknown) {
    EXPECT_EQ(driver_fault("qemu"), "");
    EXPECT_EQ(driver_fault("xen"), "");
    EXPECT_EQ(driver_fault("kvm"), "bridge.driver is \"kvm\"; there is: qemu, xen");
}

}  // namespace
}  // namespace grl::bridge
