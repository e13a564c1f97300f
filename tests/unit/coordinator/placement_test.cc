// Where guests go.
#include "coordinator/cluster/placement.h"

#include <gtest/gtest.h>

namespace grl::coordinator {
namespace {

using Placed = std::map<std::string, std::string>;

PlacementHost host(const std::string& name, std::uint64_t free_mib) {
    return {name, free_mib, "qemu", {{"g1", {"d1"}}, {"g2", {"d2"}}, {"g3", {"d3"}}}};
}

std::vector<PlacementGuest> guests() {
    return {{"g1", "h1", 256, "d1"}, {"g2", "h2", 256, "d2"}, {"g3", "h3", 256, "d3"}};
}

TEST(Placement, AdaptersAreRoomToo) {
    auto one = host("h1", 1000), two = host("h2", 600);
    for (auto* h : {&one, &two}) {
        for (const char* guest : {"g1", "g2"}) h->definitions[guest].adapters = 1;
    }
    one.free_adapters = two.free_adapters = 1;
    auto placed = place_guests({{"g1", "", 256, "d1"}, {"g2", "", 256, "d2"}}, {one, two}, "qemu");
    ASSERT_TRUE(placed) << placed.error().text();
    EXPECT_EQ(*placed, (Placed{{"g1", "h1"}, {"g2", "h2"}}));
    two.free_adapters = 0;
    placed = place_guests({{"g1", "", 256, "d1"}, {"g2", "", 256, "d2"}}, {one, two}, "qemu");
    ASSERT_FALSE(placed);
    EXPECT_NE(placed.error().why.find("h2 has 0 adapter(s) free, 1 are wanted"), std::string::npos)
        << placed.error().why;
}

TEST(Placement, AClosedHostGetsNoGuestAndKeepsOneOnlyWhereNoOtherTakesIt) {
    auto closed = host("h1", 1000), open = host("h4", 300);
    closed.closed = true;
    const PlacementGuest here{"g1", "h1", 256, "d1"}, elsewhere{"g2", "h2", 256, "d2"};
    auto placed = place_guests({here}, {closed, open}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h4"}}));
    placed = place_guests({elsewhere, here}, {closed, open}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h1"}, {"g2", "h4"}}));
    open.free_mib = 100;
    placed = place_guests({elsewhere}, {closed, open}, "qemu");
    ASSERT_FALSE(placed);
    EXPECT_NE(placed.error().why.find("h1 is closed for service"), std::string::npos);
}

TEST(Placement, AnotherDiskOrAnOlderVmmIsRefusedAndTheSameIsPreferred) {
    PlacementGuest guest{"g1", "h9", 256, "d1", {{{"disk", "A"}, {"kernel", "K"}}}, "QEMU 7.2.22"};
    auto with = [](const std::string& name, std::uint64_t free_mib, Contents contents,
                   const std::string& version) {
        PlacementHost h = host(name, free_mib);
        h.definitions["g1"].contents = std::move(contents);
        h.vmm_version = version;
        return h;
    };
    const Contents same = {{{"disk", "A"}, {"kernel", "K"}}}, other = {{{"disk", "B"}}};
    const Contents partly = {{{"disk", "A"}, {"kernel", ""}}};
    auto placed = place_guests({guest},
                               {with("h1", 1000, other, "QEMU 7.2.22"),
                                with("h2", 1000, same, "QEMU 7.1.30")},
                               "qemu");
    ASSERT_FALSE(placed);
    EXPECT_EQ(placed.error().why,
              "no host can take guest g1 (256 MiB): the disk of g1 on h1 is another than the one "
              "it ran with, h2 runs QEMU 7.1.30, which is older than its QEMU 7.2.22");
    placed = place_guests({guest},
                          {with("h1", 1000, {}, "QEMU 7.2.22"), with("h2", 900, partly, "QEMU 8.0.0"),
                           with("h3", 800, same, "QEMU 10.0.0"), with("h4", 300, same, "QEMU 7.2.22")},
                          "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h4"}}));
    for (const char* version : {"QEMU 10.0.0", "QEMU 7.2.1", ""}) {
        EXPECT_TRUE(place_guests({guest}, {with("h1", 300, {}, version)}, "qemu")) << version;
    }
    // Where it was it does not stay either.
    guest.host = "h1";
    EXPECT_FALSE(place_guests({guest}, {with("h1", 1000, other, "QEMU 7.2.22")}, "qemu"));
}

TEST(Placement, SaysWhatIsMissingOnEachHost) {
    auto other = host("h3", 1000);
    other.definitions["g2"].digest = "different";
    auto bare = host("h4", 1000);
    bare.definitions.erase("g2");
    auto xen = host("h5", 1000);
    xen.driver = "xen";
    auto placed =
        place_guests({{"g2", "h2", 256, "d2"}}, {host("h1", 100), other, bare, xen}, "qemu");
    ASSERT_FALSE(placed);
    EXPECT_EQ(placed.error().kind, ErrorKind::refused);
    EXPECT_EQ(placed.error().why,
              "no host can take guest g2 (256 MiB): h1 has 100 MiB free, h3 defines it "
              "differently, h4 does not define it, h5 runs xen, not qemu");
}

TEST(Placement, WithoutHostsThereIsNoPlace) {
    auto placed = place_guests(guests(), {}, "qemu");
    ASSERT_FALSE(placed);
    EXPECT_NE(placed.error().why.find("no host is connected"), std::string::npos);
}

TEST(Placement, RoomIsNotGivenTwice) {
    auto placed = place_guests(guests(), {host("h4", 600)}, "qemu");
    ASSERT_FALSE(placed);
    EXPECT_NE(placed.error().why.find("h4 has 88 MiB free"), std::string::npos);
}

TEST(Placement, GuestsStayWhereTheyWere) {
    auto placed = place_guests(
        guests(), {host("h1", 256), host("h2", 256), host("h3", 256), host("h4", 9999)}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h1"}, {"g2", "h2"}, {"g3", "h3"}}));
}

TEST(Placement, TheSpareTakesTheLostHostsGuest) {
    auto placed =
        place_guests(guests(), {host("h1", 300), host("h3", 300), host("h4", 700)}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(placed->at("g2"), "h4");
}

TEST(Placement, AFullHostLosesItsGuest) {
    auto placed =
        place_guests(guests(), {host("h1", 256), host("h2", 100), host("h3", 512)}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(placed->at("g2"), "h3");
}

TEST(Placement, GuestsSpread) {
    auto placed =
        place_guests(guests(), {host("h4", 1000), host("h5", 1000), host("h6", 1000)}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h4"}, {"g2", "h5"}, {"g3", "h6"}}));
}

TEST(Placement, TheLargestGoesFirst) {
    const std::vector<PlacementGuest> mixed = {{"g1", "h9", 200, "d1"}, {"g2", "h9", 600, "d2"}};
    auto placed = place_guests(mixed, {host("h1", 700), host("h2", 300)}, "qemu");
    ASSERT_TRUE(placed);
    EXPECT_EQ(*placed, (Placed{{"g1", "h2"}, {"g2", "h1"}}));
}

}  // namespace
}  // namespace grl::coordinator
