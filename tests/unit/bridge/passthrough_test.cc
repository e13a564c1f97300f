// Whose a host's passthrough devices are; nothing is plugged.
#include <gtest/gtest.h>

#include "vmm_bridge/drivers.h"
#include "vmm_bridge/host/passthrough.h"
#include "vmm_bridge/qemu/passthrough.h"

namespace grl::bridge {
namespace {

using Names = std::vector<std::string>;

TEST(Passthrough, AddressesAreRead) {
    EXPECT_EQ(parse_pci_address("0000:3b:02.1"), (PciAddress{0, 0x3b, 2, 1}));
    EXPECT_EQ(parse_pci_address("3b:1f.7"), (PciAddress{0, 0x3b, 0x1f, 7}));
    EXPECT_EQ(parse_pci_address("10001:00:00.0"), std::nullopt);
    for (const char* wrong :
         {"", "3b", "3b:02", "3b:02.8", "3b:20.0", "3b:02.1 ", " 3b:02.1", "0000:3b:02.11",
          "00000:3b:02.1", "x:3b:02.1", "0:0:3b:02.1", "-1:02.1", "nvme,serial=a", "::."}) {
        EXPECT_EQ(parse_pci_address(wrong), std::nullopt) << wrong;
    }
}

TEST(Passthrough, AGuestKeepsItsOwn) {
    PassthroughDevices devices({"a", "b", "c"});
    EXPECT_EQ(*devices.take("g1", 2), (Names{"a", "b"}));
    EXPECT_EQ(*devices.take("g1", 2), (Names{"a", "b"}));
    EXPECT_EQ(*devices.take("g2", 1), (Names{"c"}));
    devices.release("g1");
    EXPECT_EQ(*devices.take("g2", 2), (Names{"a", "c"}));
    EXPECT_EQ(*devices.take("g3", 0), Names());
}

TEST(Passthrough, WhoWantsFewerGivesTheOthersBack) {
    PassthroughDevices devices({"a", "b"});
    ASSERT_TRUE(devices.take("g1", 2));
    EXPECT_EQ(devices.free(), 0U);
    EXPECT_EQ(*devices.take("g1", 1), (Names{"a"}));
    EXPECT_EQ(devices.free(), 1U);
}

TEST(Passthrough, TooFewAreRefusedAndNothingIsTaken) {
    PassthroughDevices devices({"a", "b"});
    ASSERT_TRUE(devices.take("g1", 1));
    auto refused = devices.take("g2", 2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::refused);
    EXPECT_EQ(refused.error().why,
              "it needs 2 adapter(s), and 1 of the host's 2 are left: name more in "
              "bridge.adapters, or move a guest away");
    EXPECT_TRUE(devices.check("g2", 1));
    EXPECT_EQ(*devices.take("g2", 1), (Names{"b"}));
}

TEST(Passthrough, WhatAGuestIsFoundWithIsItsOwn) {
    PassthroughDevices devices({"a", "b"});
    devices.found("g1", "b");
    devices.found("g2", "b");
    devices.found("g2", "z");
    EXPECT_EQ(*devices.take("g2", 1), (Names{"a"}));
    EXPECT_EQ(*devices.take("g1", 1), (Names{"b"}));
}

TEST(Passthrough, WhatCannotBeGivenIsNamed) {
    BridgeSection config;
    config.adapters = {"0000:3b:02.1", "nvme,serial=a"};
    EXPECT_EQ(adapters_fault(config), "") << "QEMU's own words are good with QEMU";
    config.driver = "xen";
    EXPECT_NE(adapters_fault(config).find("\"nvme,serial=a\" is no PCI address"),
              std::string::npos);
    for (const char* same : {"3b:02.1", "0000:3B:02.1", "0:3b:2.1"}) {
        config.adapters = {"0000:3b:02.1", same};
        EXPECT_NE(adapters_fault(config).find("more than once"), std::string::npos) << same;
    }
    config.driver = "qemu";
    for (const char* wrong : {"", "nvme, serial=a", "nvme\n", "nvme,serial=\"a\"", "nvme,id=a"}) {
        config.adapters = {wrong};
        EXPECT_NE(adapters_fault(config).find("QEMU's -device"), std::string::npos) << wrong;
    }
    config.adapters = {"nvme,serial=a", "nvme.serial.a"};
    EXPECT_NE(adapters_fault(config).find("more than once"), std::string::npos);
}

TEST(Passthrough, QemuIsToldOfThem) {
    EXPECT_EQ(qemu_device_option("0000:3b:02.1"),
              "vfio-pci,host=0000:3b:02.1,id=adapter-0000.3b.02.1");
    EXPECT_EQ(qemu_device_option("nvme,serial=a"), "nvme,serial=a,id=adapter-nvme.serial.a");
}

}  // namespace
}  // namespace grl::bridge
