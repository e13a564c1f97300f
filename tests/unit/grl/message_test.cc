// Messages as structs: every field survives, a missing or wrong one is named.

#include <gtest/gtest.h>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/questions.h"

namespace grl {
namespace {

TEST(Message, RoundTripsEveryField) {
    Inventory in{"h1", "qemu", "QEMU 7.2", 1024, 512,
                 {{"g1", GuestState::running, "10.77.0.11", 256, "00"}}};
    auto out = from_json<Inventory>(to_json(in), "message inventory");
    ASSERT_TRUE(out) << out.error().text();
    EXPECT_EQ(to_json(*out), to_json(in));
    EXPECT_EQ(out->guests[0].state, GuestState::running);
}

TEST(Message, LargeNumbersAreExact) {
    Silent in;
    in.proof.issued = UINT64_MAX;
    in.silent_at_ns = INT64_MIN;
    auto out = from_json<Silent>(json::parse(json::serialize(to_json(in))), "message silent");
    ASSERT_TRUE(out);
    EXPECT_EQ(out->proof.issued, UINT64_MAX);
    EXPECT_EQ(out->silent_at_ns, INT64_MIN);
}

TEST(Message, MissingFieldIsNamed) {
    auto out = from_json<Drain>(json::object{{"line", 1}}, "message drain");
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().kind, ErrorKind::protocol);
    EXPECT_EQ(out.error().text(), "reading message drain: field attempt is missing");
}

TEST(Message, WrongTypeIsNamedWithItsPath) {
    json::value v = to_json(Inventory{"h1", "qemu", "", 1, 1, {GuestInfo{}}});
    v.as_object()["guests"].as_array()[0].as_object()["memory_mib"] = -1;
    auto out = from_json<Inventory>(v, "message inventory");
    ASSERT_FALSE(out);
    EXPECT_NE(out.error().why.find("guests[0].memory_mib"), std::string::npos);
}

TEST(Message, NumberOutOfRangeIsRefused) {
    json::value v = to_json(Drain{});
    for (json::value bad : {json::value(-1), json::value(1LL << 40), json::value(1.5),
                            json::value("1"), json::value(nullptr)}) {
        v.as_object()["attempt"] = bad;
        EXPECT_FALSE(from_json<Drain>(v, "message drain")) << bad;
    }
}

TEST(Message, UnknownFieldOfANewerPeerIsPassedOver) {
    json::value v = to_json(LineId{1, 2});
    v.as_object()["added_later"] = true;
    EXPECT_TRUE(from_json<LineId>(v, "line"));
}

TEST(Message, UnknownEnumeratorIsRefusedWithTheKnownOnes) {
    json::value v = to_json(GuestInfo{});
    v.as_object()["state"] = "asleep";
    auto out = from_json<GuestInfo>(v, "guest");
    ASSERT_FALSE(out);
    EXPECT_NE(out.error().why.find("running"), std::string::npos);
}

TEST(Message, OptionalFieldMayBeLeftOut) {
    EXPECT_FALSE(from_json<RestoreJob>(json::object{{"job", 1}}, "restore")->line);
    EXPECT_EQ(*from_json<RestoreJob>(json::object{{"job", 1}, {"line", 2}}, "restore")->line, 2U);
    EXPECT_FALSE(to_json(RestoreJob{1, {}}).as_object().contains("line"));
}

}  // namespace
}  // namespace grl
