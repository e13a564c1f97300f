// The move's table: every transition in it, everything that is not in it, and what must hold of it
// as a whole. The ways that fail come first.
#include "coordinator/move/table.h"
#include "tests/unit/coordinator/table_checks.h"

namespace grl::coordinator {
namespace {

using S = MoveState;
using E = MoveEvent;

const TableChecks check(move_table());

TEST(MoveMachine, FailuresGoWhereTheJobIsSafe) {
    check.failures(
        {
            {S::request, E::failed, S::aborted},      {S::request, E::timeout, S::aborted},
            {S::request, E::cancel, S::aborted},      {S::precopy, E::failed, S::discard},
            {S::precopy, E::timeout, S::discard},     {S::precopy, E::bridge_lost, S::discard},
            {S::precopy, E::guest_died, S::discard},  {S::precopy, E::cancel, S::discard},
            {S::drain, E::failed, S::undo},           {S::drain, E::timeout, S::undo},
            {S::drain, E::bridge_lost, S::undo},      {S::drain, E::master_lost, S::undo},
            {S::drain, E::guest_died, S::undo},       {S::drain, E::cancel, S::undo},
            {S::switchover, E::failed, S::undo},      {S::switchover, E::timeout, S::undo},
            {S::switchover, E::bridge_lost, S::undo}, {S::switchover, E::guest_died, S::undo},
            {S::switchover, E::cancel, S::undo},      {S::note, E::failed, S::undo},
            {S::note, E::timeout, S::undo},           {S::note, E::bridge_lost, S::undo},
            {S::note, E::guest_died, S::undo},        {S::note, E::cancel, S::undo},
            {S::give, E::failed, S::strand},          {S::give, E::timeout, S::strand},
            {S::give, E::bridge_lost, S::strand},     {S::wake, E::failed, S::go_on},
            {S::wake, E::timeout, S::go_on},          {S::wake, E::bridge_lost, S::go_on},
            {S::wake, E::guest_died, S::go_on},       {S::wake, E::cancel, S::go_on},
            {S::go_on, E::failed, S::clear},          {S::go_on, E::timeout, S::clear},
            {S::clear, E::failed, S::done},           {S::clear, E::timeout, S::done},
            {S::clear, E::bridge_lost, S::done},      {S::strand, E::timeout, S::aborted},
            {S::undo, E::timeout, S::aborted},        {S::discard, E::timeout, S::aborted},
        },
        {E::failed, E::timeout, E::bridge_lost, E::master_lost, E::guest_died, E::cancel});
}

TEST(MoveMachine, EveryPairDoesWhatTheTableSaysAndNothingElse) {
    check.every_pair();
}

TEST(MoveMachine, NoPairIsListedTwice) {
    check.no_pair_twice();
}

TEST(MoveMachine, EveryStateIsDescribedAndReached) {
    check.every_state_described_and_reached();
}

TEST(MoveMachine, EveryEventIsTakenSomewhere) {
    check.every_event_taken();
}

TEST(MoveMachine, AMoveThatSucceedsEndsWithoutAnImage) {
    for (const bool ahead : {false, true}) {
        auto m = check.in(S::precopy);
        if (!ahead) {
            EXPECT_TRUE(m.take(E::all_copied));
        }
        EXPECT_TRUE(m.take(ahead ? E::went_ahead : E::all_silent));
        EXPECT_EQ(m.state(), S::switchover);
        for (E e : {E::all_arrived, E::noted, E::all_given, E::all_released, E::all_released,
                    E::all_cleared}) {
            EXPECT_TRUE(m.take(e)) << name_of(e);
        }
        EXPECT_EQ(m.state(), S::done);
        EXPECT_EQ(m.reason(), "");
    }
}

// A guest that was given away runs there, whatever else is late.
TEST(MoveMachine, TimeoutsAloneEndEveryMove) {
    check.timeouts_end_it(S::done, S::aborted, {S::wake, S::go_on, S::clear});
}

TEST(MoveMachine, ItIsOnDiskBeforeTheGuestIsGivenAway) {
    for (const auto& row : move_table().transitions) {
        if (row.to == S::give) {
            EXPECT_EQ(row.event, E::noted);
        }
        if (row.to == S::note) {
            EXPECT_EQ(row.event, E::all_arrived);
        }
    }
}

// Two hosts hold the guest from the switch-over on: after the word for one nothing may wake the
// other.
TEST(MoveMachine, AGuestThatWasGivenAwayIsNeverTakenBack) {
    const std::set<S> given = {S::give, S::wake, S::go_on, S::clear, S::strand};
    for (const auto& row : move_table().transitions) {
        if (!given.count(row.from)) continue;
        EXPECT_TRUE(given.count(row.to) || row.to == S::done || row.to == S::aborted)
            << name_of(row.from) << " " << name_of(row.event);
    }
}

TEST(MoveMachine, AJobThatStandsStillIsAlwaysLetGo) {
    check.let_go({S::drain, S::switchover, S::note, S::give, S::wake},
                 {S::undo, S::go_on, S::strand}, {});
}

// There is no cut that gates which open by themselves could void.
TEST(MoveMachine, GatesAreShutForNoCut) {
    for (const auto& row : move_table().states) EXPECT_NE(row.gates, Gates::shut);
}

TEST(MoveMachine, TheFirstReasonStays) {
    auto m = check.in(S::note);
    m.take(E::bridge_lost, "host h2 is lost");
    m.take(E::timeout, "nobody answers");
    EXPECT_EQ(m.state(), S::aborted);
    EXPECT_EQ(m.reason(), "host h2 is lost");
}

}  // namespace
}  // namespace grl::coordinator
