// The line's table: every transition in it, everything that is not in it, and what must hold of it
// as a whole. The ways that fail come first.
#include "coordinator/lines/table.h"
#include "tests/unit/coordinator/table_checks.h"

namespace grl::coordinator {
namespace {

using S = LineState;
using E = LineEvent;

const TableChecks check(line_table());

TEST(LineMachine, FailuresGoWhereTheJobIsSafe) {
    check.failures(
        {
            {S::request, E::failed, S::aborted},      {S::request, E::timeout, S::aborted},
            {S::request, E::cancel, S::aborted},      {S::prepare, E::failed, S::discard},
            {S::prepare, E::timeout, S::discard},     {S::prepare, E::bridge_lost, S::discard},
            {S::prepare, E::master_lost, S::discard}, {S::prepare, E::image_failed, S::discard},
            {S::prepare, E::cancel, S::discard},      {S::copy, E::failed, S::discard},
            {S::copy, E::timeout, S::discard},        {S::copy, E::bridge_lost, S::discard},
            {S::copy, E::master_lost, S::discard},    {S::copy, E::image_failed, S::discard},
            {S::copy, E::cancel, S::discard},         {S::drain, E::failed, S::undo},
            {S::drain, E::timeout, S::undo},          {S::drain, E::bridge_lost, S::undo},
            {S::drain, E::master_lost, S::undo},      {S::drain, E::image_failed, S::undo},
            {S::drain, E::cancel, S::undo},           {S::freeze, E::failed, S::undo},
            {S::freeze, E::timeout, S::undo},         {S::freeze, E::bridge_lost, S::undo},
            {S::freeze, E::image_failed, S::undo},    {S::freeze, E::cancel, S::undo},
            {S::capture, E::failed, S::undo},         {S::capture, E::timeout, S::undo},
            {S::capture, E::bridge_lost, S::undo},    {S::capture, E::image_failed, S::undo},
            {S::capture, E::cancel, S::undo},         {S::release, E::failed, S::undo},
            {S::release, E::timeout, S::undo},        {S::release, E::bridge_lost, S::undo},
            {S::release, E::cancel, S::undo},         {S::images, E::failed, S::discard},
            {S::images, E::timeout, S::discard},      {S::images, E::bridge_lost, S::discard},
            {S::images, E::image_failed, S::discard}, {S::images, E::cancel, S::discard},
            {S::manifest, E::failed, S::erase},       {S::manifest, E::timeout, S::erase},
            {S::undo, E::timeout, S::aborted},        {S::erase, E::timeout, S::discard},
            {S::discard, E::timeout, S::aborted},
        },
        {E::failed, E::timeout, E::bridge_lost, E::master_lost, E::image_failed, E::cancel});
}

TEST(LineMachine, EveryPairDoesWhatTheTableSaysAndNothingElse) {
    check.every_pair();
}

TEST(LineMachine, NoPairIsListedTwice) {
    check.no_pair_twice();
}

TEST(LineMachine, EveryStateIsDescribedAndReached) {
    check.every_state_described_and_reached();
}

TEST(LineMachine, EveryEventIsTakenSomewhere) {
    check.every_event_taken();
}

TEST(LineMachine, TheStraightWayCommits) {
    check.straight_way({{E::admitted, S::prepare},
                        {E::all_prepared, S::drain},
                        {E::all_silent, S::freeze},
                        {E::all_frozen, S::capture},
                        {E::all_captured, S::release},
                        {E::all_released, S::images},
                        {E::all_durable, S::manifest},
                        {E::manifest_written, S::done}});
}

// Nobody answers ever again: the line still comes to its end, and what it did is undone.
TEST(LineMachine, TimeoutsAloneEndEveryLine) {
    check.timeouts_end_it(S::done, S::aborted);
}

TEST(LineMachine, OnlyTheManifestMakesALine) {
    for (const auto& row : line_table().transitions) {
        if (row.to != S::done || row.event == E::went_on) continue;
        EXPECT_EQ(row.from, S::manifest);
        EXPECT_EQ(row.event, E::manifest_written);
    }
}

TEST(LineMachine, NothingIsCapturedBeforeAllAreStopped) {
    for (const auto& row : line_table().transitions) {
        if (row.to == S::capture) {
            EXPECT_EQ(row.event, E::all_frozen);
        }
        if (row.to == S::release) {
            EXPECT_EQ(row.event, E::all_captured);
        }
    }
}

TEST(LineMachine, AJobThatStandsStillIsAlwaysLetGo) {
    check.let_go({S::drain, S::freeze, S::capture, S::release}, {S::undo},
                 {E::all_released, E::went_on});
}

TEST(LineMachine, GatesAreShutBetweenTheDrainAndTheRelease) {
    for (const auto& row : line_table().states) {
        const bool shut = row.state == S::freeze || row.state == S::capture;
        EXPECT_EQ(row.gates == Gates::shut, shut) << name_of(row.state);
        EXPECT_EQ(row.gates == Gates::closing, row.state == S::drain) << name_of(row.state);
    }
}

TEST(LineMachine, TheFirstReasonStays) {
    auto m = check.in(S::capture);
    m.take(E::bridge_lost, "host h2 is lost");
    m.take(E::timeout, "nobody answers");
    EXPECT_EQ(m.state(), S::aborted);
    EXPECT_EQ(m.reason(), "host h2 is lost");
}

TEST(LineMachine, RequestsJoinOnlyBeforeTheCut) {
    for (S state : every<S>()) {
        const bool before = state == S::request || state == S::prepare || state == S::copy;
        EXPECT_EQ(before_cut(state), before) << name_of(state);
    }
}

}  // namespace
}  // namespace grl::coordinator
