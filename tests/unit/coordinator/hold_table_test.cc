// The hold's table: every transition in it, everything that is not in it, and what must hold of it
// as a whole. The ways that fail come first.
#include "coordinator/hold/table.h"
#include "tests/unit/coordinator/table_checks.h"

namespace grl::coordinator {
namespace {

using S = HoldState;
using E = HoldEvent;

const TableChecks check(hold_table());

TEST(HoldMachine, FailuresGoWhereTheJobIsSafe) {
    check.failures(
        {
            {S::request, E::failed, S::aborted},
            {S::request, E::timeout, S::aborted},
            {S::request, E::cancel, S::aborted},
            {S::prepare, E::failed, S::discard},
            {S::prepare, E::timeout, S::discard},
            {S::prepare, E::bridge_lost, S::discard},
            {S::prepare, E::master_lost, S::discard},
            {S::prepare, E::image_failed, S::discard},
            {S::prepare, E::cancel, S::discard},
            {S::drain, E::failed, S::undo},
            {S::drain, E::timeout, S::undo},
            {S::drain, E::bridge_lost, S::undo},
            {S::drain, E::master_lost, S::undo},
            {S::drain, E::image_failed, S::undo},
            {S::drain, E::cancel, S::undo},
            {S::freeze, E::failed, S::undo},
            {S::freeze, E::timeout, S::undo},
            {S::freeze, E::bridge_lost, S::undo},
            {S::freeze, E::image_failed, S::undo},
            {S::freeze, E::cancel, S::undo},
            {S::capture, E::failed, S::undo},
            {S::capture, E::timeout, S::undo},
            {S::capture, E::bridge_lost, S::undo},
            {S::capture, E::image_failed, S::undo},
            {S::capture, E::cancel, S::undo},
            {S::hold_images, E::failed, S::undo},
            {S::hold_images, E::timeout, S::undo},
            {S::hold_images, E::bridge_lost, S::undo},
            {S::hold_images, E::image_failed, S::undo},
            {S::hold_images, E::cancel, S::undo},
            {S::hold_manifest, E::failed, S::hold_undo},
            {S::hold_manifest, E::timeout, S::hold_undo},
            {S::hold, E::failed, S::undo},
            {S::hold, E::bridge_lost, S::undo},
            {S::hold, E::image_failed, S::undo},
            {S::hold, E::cancel, S::undo},
            {S::release, E::failed, S::undo},
            {S::release, E::timeout, S::undo},
            {S::release, E::bridge_lost, S::undo},
            {S::release, E::cancel, S::undo},
            {S::undo, E::timeout, S::aborted},
            {S::hold_undo, E::timeout, S::erase},
            {S::erase, E::timeout, S::discard},
            {S::discard, E::timeout, S::aborted},
        },
        {E::failed, E::timeout, E::bridge_lost, E::master_lost, E::image_failed, E::cancel});
}

TEST(HoldMachine, EveryPairDoesWhatTheTableSaysAndNothingElse) {
    check.every_pair();
}

TEST(HoldMachine, NoPairIsListedTwice) {
    check.no_pair_twice();
}

TEST(HoldMachine, EveryStateIsDescribedAndReached) {
    check.every_state_described_and_reached();
}

TEST(HoldMachine, EveryEventIsTakenSomewhere) {
    check.every_event_taken();
}

TEST(HoldMachine, TheStraightWayWithoutALine) {
    check.straight_way({{E::admitted, S::prepare},
                        {E::all_prepared, S::drain},
                        {E::all_silent, S::freeze},
                        {E::all_held, S::hold},
                        {E::let_go, S::release},
                        {E::all_released, S::done}});
}

TEST(HoldMachine, AHoldKeepsItsLineWhileTheJobStandsStill) {
    auto m = check.in(S::capture);
    for (E e : {E::all_captured, E::all_durable, E::manifest_written}) {
        EXPECT_FALSE(m.take(E::let_go)) << "nobody is let go before " << name_of(e);
        EXPECT_TRUE(m.take(e)) << name_of(e);
    }
    EXPECT_EQ(m.state(), S::hold);
    auto lost = m;
    EXPECT_TRUE(lost.take(E::parted, "host h2 is lost"));
    EXPECT_EQ(lost.state(), S::done) << "its line stands";
    EXPECT_EQ(lost.reason(), "host h2 is lost");
    EXPECT_TRUE(m.take(E::let_go));
    EXPECT_TRUE(m.take(E::all_released));
    EXPECT_EQ(m.state(), S::done);
}

// A hold's own limit lets it go.
TEST(HoldMachine, TimeoutsAloneEndEveryHold) {
    check.timeouts_end_it(S::done, S::aborted, {}, {S::hold});
    EXPECT_EQ(hold_table().next(S::hold, E::let_go), S::release);
}

TEST(HoldMachine, GuestsAreCapturedAndHeldOnlyWhenAllAreStopped) {
    for (const auto& row : hold_table().transitions) {
        if (row.to == S::capture) {
            EXPECT_EQ(row.event, E::all_frozen);
        }
        if (row.to == S::hold) {
            EXPECT_TRUE(row.event == E::all_held || row.from == S::hold_manifest);
        }
        if (row.to == S::release) {
            EXPECT_EQ(row.event, E::let_go);
        }
    }
}

// A bridge deletes no line that still holds guests on it, so they are let go before.
TEST(HoldMachine, AManifestThatMayStandIsErasedAfterTheGuestsRun) {
    for (const auto& row : hold_table().transitions) {
        if (row.to == S::erase) {
            EXPECT_EQ(row.from, S::hold_undo);
        }
        if (row.from == S::hold_manifest) {
            EXPECT_EQ(row.to, row.event == E::manifest_written ? S::hold : S::hold_undo);
        }
    }
}

// Without the rest it must not go on; a restore or its bridges' limit ends that.
TEST(HoldMachine, AJobThatStandsStillIsAlwaysLetGoUnlessItHasParted) {
    check.let_go(
        {S::drain, S::freeze, S::capture, S::hold_images, S::hold_manifest, S::hold, S::release},
        {S::undo, S::hold_undo}, {E::all_released, E::parted});
}

TEST(HoldMachine, TheFirstReasonStays) {
    auto m = check.in(S::hold_manifest);
    for (E e : {E::failed, E::timeout, E::timeout, E::timeout}) m.take(e, name_of(e));
    EXPECT_EQ(m.state(), S::aborted);
    EXPECT_EQ(m.reason(), "failed");
}

}  // namespace
}  // namespace grl::coordinator
