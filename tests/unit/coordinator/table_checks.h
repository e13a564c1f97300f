// What must hold of every run's table, whichever protocol it is.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "coordinator/engine/state_table.h"

namespace grl::coordinator {

template <class Enum>
std::vector<Enum> every() {
    std::vector<Enum> list;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<Enum>>(
        [&](auto d) { list.push_back(d.value); });
    return list;
}

template <class State, class Event>
struct Failure {
    State from;
    Event event;
    State to;
};

template <class State, class Event, class Row>
struct TableChecks {
    using Table = StateTable<State, Event, Row>;
    using Machine = StateMachine<State, Event, Row>;
    explicit TableChecks(const Table& t) : table(t) {}

    // The shortest events that lead from the beginning to each state.
    std::map<State, std::vector<Event>> ways() const {
        const State first = table.states.front().state;
        std::map<State, std::vector<Event>> found = {{first, {}}};
        std::deque<State> open = {first};
        while (!open.empty()) {
            const State from = open.front();
            open.pop_front();
            for (const auto& row : table.transitions) {
                if (row.from != from || found.count(row.to)) continue;
                found[row.to] = found[from];
                found[row.to].push_back(row.event);
                open.push_back(row.to);
            }
        }
        return found;
    }

    Machine in(State state) const {
        Machine m(table);
        const auto way = ways();
        for (Event e : way.at(state)) EXPECT_TRUE(m.take(e, name_of(e)));
        EXPECT_EQ(m.state(), state);
        return m;
    }

    // Written out once more by hand: the table must not drift.
    void failures(const std::vector<Failure<State, Event>>& expected,
                  const std::set<Event>& kinds) const {
        std::size_t in_table = 0;
        for (const auto& row : table.transitions) in_table += kinds.count(row.event);
        EXPECT_EQ(in_table, expected.size());
        for (const auto& f : expected) {
            Machine m = in(f.from);
            const std::string before = m.reason();
            EXPECT_TRUE(m.take(f.event, "the reason"))
                << name_of(f.from) << " " << name_of(f.event);
            EXPECT_EQ(m.state(), f.to) << name_of(f.from) << " " << name_of(f.event);
            EXPECT_EQ(m.reason(), before.empty() ? "the reason" : before);
        }
    }

    void straight_way(const std::vector<std::pair<Event, State>>& way) const {
        Machine m(table);
        for (const auto& [event, state] : way) {
            EXPECT_FALSE(m.over());
            EXPECT_TRUE(m.take(event)) << name_of(event);
            EXPECT_EQ(m.state(), state);
        }
        EXPECT_TRUE(m.over());
        EXPECT_EQ(m.reason(), "");
    }

    void every_pair() const {
        for (State from : every<State>()) {
            for (Event event : every<Event>()) {
                const auto to = table.next(from, event);
                Machine m = in(from);
                EXPECT_EQ(m.take(event), to.has_value()) << name_of(from) << " " << name_of(event);
                EXPECT_EQ(m.state(), to.value_or(from)) << name_of(from) << " " << name_of(event);
            }
        }
    }

    void no_pair_twice() const {
        std::set<std::pair<State, Event>> seen;
        for (const auto& row : table.transitions) {
            EXPECT_TRUE(seen.emplace(row.from, row.event).second)
                << name_of(row.from) << " " << name_of(row.event);
        }
    }

    void every_state_described_and_reached() const {
        const auto reached = ways();
        for (State state : every<State>()) {
            EXPECT_EQ(table.row(state).state, state);
            EXPECT_TRUE(reached.count(state)) << name_of(state);
        }
        EXPECT_EQ(table.states.size(), every<State>().size());
    }

    // Every event is of some use.
    void every_event_taken() const {
        for (Event event : every<Event>()) {
            EXPECT_TRUE(std::ranges::any_of(table.transitions, [&](const auto& t) {
                return t.event == event;
            })) << name_of(event);
        }
    }

    // Nobody answers ever again: it still comes to its end, and `given` states to `done`.
    void timeouts_end_it(State done, State aborted, const std::set<State>& given = {},
                         const std::set<State>& without = {}) const {
        for (State from : every<State>()) {
            Machine m = in(from);
            if (m.over() || without.count(from)) continue;
            ASSERT_NE(table.row(from).limit, nullptr) << name_of(from);
            for (int i = 0; i < 4 && !m.over(); ++i) EXPECT_TRUE(m.take(Event::timeout));
            EXPECT_EQ(m.state(), given.count(from) ? done : aborted) << name_of(from);
        }
    }

    // While gates may be shut or guests stopped, every way out passes through what lets them go.
    void let_go(const std::set<State>& still, const std::set<State>& lets_go,
                const std::set<Event>& released) const {
        for (const auto& row : table.transitions) {
            if (!still.count(row.from) || still.count(row.to)) continue;
            EXPECT_TRUE(lets_go.count(row.to) || released.count(row.event))
                << name_of(row.from) << " " << name_of(row.event);
        }
    }

    Table table;
};

}  // namespace grl::coordinator
