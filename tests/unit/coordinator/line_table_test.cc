// The line's table: every transition in it, everything that is not in it, and what must hold of it
// as a whole. The ways that fail come first.
#include "coordinator/lines/table.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "grl/base/json.h"

namespace grl::coordinator {
namespace {

using S = LineState;
using E = LineEvent;

template <class Enum>
std::vector<Enum> every() {
    std::vector<Enum> list;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<Enum>>(
        [&](auto d) { list.push_back(d.value); });
    return list;
}

bool is_failure(E e) {
    return e == E::failed || e == E::timeout || e == E::bridge_lost || e == E::master_lost ||
           e == E::image_failed || e == E::cancel;
}

// The shortest events that lead from the beginning to each state.
std::map<S, std::vector<E>> ways() {
    std::map<S, std::vector<E>> found = {{S::request, {}}};
    std::deque<S> open = {S::request};
    while (!open.empty()) {
        const S from = open.front();
        open.pop_front();
        for (const auto& row : line_transitions()) {
            if (row.from != from || found.count(row.to)) continue;
            found[row.to] = found[from];
            found[row.to].push_back(row.event);
            open.push_back(row.to);
        }
    }
    return found;
}

LineMachine machine_in(S state) {
    LineMachine m;
    const auto way = ways();
    for (E e : way.at(state)) EXPECT_TRUE(m.take(e, name_of(e)));
    EXPECT_EQ(m.state(), state);
    return m;
}

struct Failure {
    S from;
    E event;
    S to;
};

// Written out once more by hand: the table must not drift.
TEST(LineMachine, FailuresGoWhereTheJobIsSafe) {
    const std::vector<Failure> expected = {
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
        {S::release, E::failed, S::undo},
        {S::release, E::timeout, S::undo},
        {S::release, E::bridge_lost, S::undo},
        {S::release, E::cancel, S::undo},
        {S::images, E::failed, S::discard},
        {S::images, E::timeout, S::discard},
        {S::images, E::bridge_lost, S::discard},
        {S::images, E::image_failed, S::discard},
        {S::images, E::cancel, S::discard},
        {S::manifest, E::failed, S::erase},
        {S::manifest, E::timeout, S::erase},
        {S::undo, E::timeout, S::aborted},
        {S::erase, E::timeout, S::discard},
        {S::discard, E::timeout, S::aborted},
        {S::copy, E::failed, S::discard},
        {S::copy, E::timeout, S::discard},
        {S::copy, E::bridge_lost, S::discard},
        {S::copy, E::master_lost, S::discard},
        {S::copy, E::image_failed, S::discard},
        {S::copy, E::cancel, S::discard},
        {S::precopy, E::failed, S::discard},
        {S::precopy, E::timeout, S::discard},
        {S::precopy, E::bridge_lost, S::discard},
        {S::precopy, E::image_failed, S::discard},
        {S::precopy, E::cancel, S::discard},
        {S::switchover, E::failed, S::undo},
        {S::switchover, E::timeout, S::undo},
        {S::switchover, E::bridge_lost, S::undo},
        {S::switchover, E::image_failed, S::undo},
        {S::switchover, E::cancel, S::undo},
        {S::note, E::failed, S::undo},
        {S::note, E::timeout, S::undo},
        {S::note, E::bridge_lost, S::undo},
        {S::note, E::image_failed, S::undo},
        {S::note, E::cancel, S::undo},
        {S::give, E::failed, S::strand},
        {S::give, E::timeout, S::strand},
        {S::give, E::bridge_lost, S::strand},
        {S::wake, E::failed, S::go_on},
        {S::wake, E::timeout, S::go_on},
        {S::wake, E::bridge_lost, S::go_on},
        {S::wake, E::image_failed, S::go_on},
        {S::wake, E::cancel, S::go_on},
        {S::go_on, E::failed, S::clear},
        {S::go_on, E::timeout, S::clear},
        {S::clear, E::failed, S::done},
        {S::clear, E::timeout, S::done},
        {S::clear, E::bridge_lost, S::done},
        {S::strand, E::timeout, S::aborted},
        {S::hold, E::failed, S::undo},
        {S::hold, E::bridge_lost, S::undo},
        {S::hold, E::image_failed, S::undo},
        {S::hold, E::cancel, S::undo},
        {S::hold_images, E::failed, S::undo},
        {S::hold_images, E::timeout, S::undo},
        {S::hold_images, E::bridge_lost, S::undo},
        {S::hold_images, E::image_failed, S::undo},
        {S::hold_images, E::cancel, S::undo},
        {S::hold_manifest, E::failed, S::hold_undo},
        {S::hold_manifest, E::timeout, S::hold_undo},
        {S::hold_undo, E::timeout, S::erase},
    };
    std::size_t in_table = 0;
    for (const auto& row : line_transitions()) in_table += is_failure(row.event) ? 1 : 0;
    EXPECT_EQ(in_table, expected.size());
    for (const Failure& f : expected) {
        LineMachine m = machine_in(f.from);
        const std::string before = m.reason();
        EXPECT_TRUE(m.take(f.event, "the reason")) << name_of(f.from) << " " << name_of(f.event);
        EXPECT_EQ(m.state(), f.to) << name_of(f.from) << " " << name_of(f.event);
        EXPECT_EQ(m.reason(), before.empty() ? "the reason" : before);
    }
}

TEST(LineMachine, TheStraightWayCommits) {
    const std::vector<std::pair<E, S>> way = {
        {E::admitted, S::prepare},     {E::all_prepared, S::drain},    {E::all_silent, S::freeze},
        {E::all_frozen, S::capture},   {E::all_captured, S::release},  {E::all_released, S::images},
        {E::all_durable, S::manifest}, {E::manifest_written, S::done},
    };
    LineMachine m;
    for (const auto& [event, state] : way) {
        EXPECT_FALSE(m.over());
        EXPECT_TRUE(m.take(event));
        EXPECT_EQ(m.state(), state);
    }
    EXPECT_TRUE(m.over());
    EXPECT_EQ(m.reason(), "");
}

TEST(LineMachine, EveryPairDoesWhatTheTableSaysAndNothingElse) {
    for (S from : every<S>()) {
        for (E event : every<E>()) {
            const auto to = next_state(line_transitions(), from, event);
            LineMachine m = machine_in(from);
            EXPECT_EQ(m.take(event), to.has_value()) << name_of(from) << " " << name_of(event);
            EXPECT_EQ(m.state(), to.value_or(from)) << name_of(from) << " " << name_of(event);
        }
    }
}

TEST(LineMachine, NoPairIsListedTwice) {
    std::set<std::pair<S, E>> seen;
    for (const auto& row : line_transitions()) {
        EXPECT_TRUE(seen.emplace(row.from, row.event).second)
            << name_of(row.from) << " " << name_of(row.event);
    }
}

TEST(LineMachine, EveryStateIsDescribedAndReached) {
    const auto reached = ways();
    for (S state : every<S>()) {
        EXPECT_EQ(line_state_row(state).state, state);
        EXPECT_TRUE(reached.count(state)) << name_of(state);
    }
    EXPECT_EQ(line_states().size(), every<S>().size());
}

// Nobody answers ever again: the line still comes to its end, and what it did is undone.
TEST(LineMachine, TimeoutsAloneEndEveryLine) {
    for (S from : every<S>()) {
        LineMachine m = machine_in(from);
        if (m.over()) continue;
        // A hold's own limit lets it go.
        if (from == S::hold) {
            EXPECT_TRUE(m.take(E::let_go));
            from = S::release;
        }
        ASSERT_NE(line_state_row(from).limit, nullptr) << name_of(from);
        for (int i = 0; i < 4 && !m.over(); ++i) EXPECT_TRUE(m.take(E::timeout));
        // A guest that was given away runs there, whatever else is late.
        const bool given = from == S::wake || from == S::go_on || from == S::clear;
        EXPECT_EQ(m.state(), given ? S::done : S::aborted) << name_of(from);
    }
}

TEST(LineMachine, OnlyTheManifestMakesALine) {
    for (const auto& row : line_transitions()) {
        if (row.to != S::done || row.event == E::went_on || row.from == S::clear) continue;
        if (row.event == E::parted) continue;
        EXPECT_EQ(row.from, S::manifest);
        EXPECT_EQ(row.event, E::manifest_written);
    }
}

TEST(LineMachine, AHoldKeepsItsLineWhileTheJobStandsStill) {
    LineMachine m = machine_in(S::capture);
    for (E e : {E::all_kept, E::all_durable, E::manifest_written}) {
        EXPECT_FALSE(m.take(E::let_go)) << "nobody is let go before " << name_of(e);
        EXPECT_TRUE(m.take(e)) << name_of(e);
    }
    EXPECT_EQ(m.state(), S::hold);
    LineMachine lost = m;
    EXPECT_TRUE(lost.take(E::parted, "host h2 is lost"));
    EXPECT_EQ(lost.state(), S::done) << "its line stands";
    EXPECT_EQ(lost.reason(), "host h2 is lost");
    EXPECT_TRUE(m.take(E::let_go));
    EXPECT_TRUE(m.take(E::went_on));
    EXPECT_EQ(m.state(), S::done);
}

TEST(LineMachine, NothingIsCapturedBeforeAllAreStopped) {
    for (const auto& row : line_transitions()) {
        if (row.to == S::capture) {
            EXPECT_EQ(row.event, E::all_frozen);
        }
        if (row.to == S::hold) {
            EXPECT_TRUE(row.event == E::all_held || row.from == S::hold_manifest);
        }
        if (row.to == S::release) {
            EXPECT_EQ(row.event, row.from == S::hold ? E::let_go : E::all_captured);
        }
    }
}

// While gates may be shut or guests stopped, every way out passes through undo or the release.
TEST(LineMachine, AJobThatStandsStillIsAlwaysLetGo) {
    const std::set<S> still = {S::drain,       S::freeze,        S::capture,    S::hold,
                               S::hold_images, S::hold_manifest, S::switchover, S::note,
                               S::give,        S::wake,          S::release};
    const std::set<S> lets_go = {S::undo, S::hold_undo, S::go_on, S::strand};
    for (const auto& row : line_transitions()) {
        if (!still.count(row.from) || still.count(row.to)) continue;
        // Without the rest it must not go on; a restore or its bridges' limit ends that.
        if (row.event == E::parted) continue;
        const bool released = row.event == E::all_released || row.event == E::went_on;
        EXPECT_TRUE(lets_go.count(row.to) || (row.from == S::release && released))
            << name_of(row.from) << " " << name_of(row.event);
    }
}

TEST(LineMachine, AMoveThatSucceedsEndsWithoutAnImage) {
    for (const bool ahead : {false, true}) {
        LineMachine m;
        EXPECT_TRUE(m.take(E::may_move));
        if (!ahead) {
            EXPECT_TRUE(m.take(E::all_copied));
        }
        EXPECT_TRUE(m.take(ahead ? E::went_ahead : E::all_quiet));
        EXPECT_EQ(m.state(), S::switchover);
        for (E e : {E::all_arrived, E::noted, E::all_given, E::all_released, E::all_released,
                    E::all_cleared}) {
            EXPECT_TRUE(m.take(e)) << name_of(e);
        }
        EXPECT_EQ(m.state(), S::done);
    }
}

// Two hosts hold the guest from the switch-over on: after the word for one nothing may wake the
// other.
TEST(LineMachine, AGuestThatWasGivenAwayIsNeverTakenBack) {
    const std::set<S> given = {S::give, S::wake, S::go_on, S::clear, S::strand};
    for (const auto& row : line_transitions()) {
        if (!given.count(row.from)) continue;
        EXPECT_TRUE(given.count(row.to) || row.to == S::done || row.to == S::aborted)
            << name_of(row.from) << " " << name_of(row.event);
    }
}

TEST(LineMachine, TheFirstReasonStays) {
    LineMachine m = machine_in(S::capture);
    m.take(E::bridge_lost, "host h2 is lost");
    m.take(E::timeout, "nobody answers");
    EXPECT_EQ(m.state(), S::aborted);
    EXPECT_EQ(m.reason(), "host h2 is lost");
}

TEST(LineMachine, RequestsJoinOnlyBeforeTheCut) {
    for (S state : every<S>()) {
        const bool before = state == S::request || state == S::prepare || state == S::copy;
        EXPECT_EQ(machine_in(state).before_cut(), before) << name_of(state);
    }
}

}  // namespace
}  // namespace grl::coordinator
