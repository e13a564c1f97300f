// The restore's table, exhaustively.
#include "coordinator/restore/table.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

#include "grl/base/json.h"

namespace grl::coordinator {
namespace {

using S = RestoreState;
using E = RestoreEvent;

struct RestoreMachine : StateMachine<S, E> {
    RestoreMachine() : StateMachine(restore_table()) {}
};

const std::vector<S> kStraight = {S::wait,  S::check,   S::look,    S::place,  S::verify, S::fence,
                                  S::raise, S::destroy, S::restore, S::resume, S::rejoin, S::done};
// Nothing has been touched; from verify on with hosts that were chosen.
const std::vector<S> kBefore = {S::wait, S::check, S::look, S::place};
const std::vector<S> kChosen = {S::verify, S::fence, S::raise, S::destroy};
const std::vector<S> kStanding = {S::restore, S::resume};
const std::vector<E> kEvents = {E::ok, E::failed, E::timeout, E::host_lost, E::damaged};

RestoreMachine machine_in(S state) {
    RestoreMachine m;
    while (m.state() != state && m.take(E::ok)) {
    }
    if (state == S::clean || state == S::failed) {
        m = machine_in(S::restore);
        m.take(E::failed, "no");
        if (state == S::failed) m.take(E::ok);
    }
    EXPECT_EQ(m.state(), state);
    return m;
}

TEST(RestoreMachine, FailuresBeforeAnythingStandsChangeNothing) {
    auto fails = [](S from, E event) {
        RestoreMachine m = machine_in(from);
        EXPECT_TRUE(m.take(event, "why"));
        EXPECT_EQ(m.state(), S::failed) << name_of(from);
        EXPECT_EQ(m.reason(), "why");
    };
    for (S from : kBefore) {
        for (E event : {E::failed, E::timeout}) fails(from, event);
        RestoreMachine m = machine_in(from);
        EXPECT_FALSE(m.take(E::host_lost, "gone")) << name_of(from);
    }
    for (S from : kChosen) {
        for (E event : {E::failed, E::timeout, E::host_lost}) fails(from, event);
    }
}

// Whatever can say no has spoken before.
TEST(RestoreMachine, NothingIsTurnedOffOrDestroyedBeforeTheImagesAreVerified) {
    for (S gone : {S::fence, S::raise, S::destroy, S::restore, S::resume}) {
        std::set<S> reached = {S::wait};
        for (bool more = true; more;) {
            more = false;
            for (const auto& row : restore_table().transitions) {
                if (row.from == S::verify || !reached.count(row.from)) continue;
                more = reached.insert(row.to).second || more;
            }
        }
        EXPECT_FALSE(reached.count(gone)) << name_of(gone);
    }
}

TEST(RestoreMachine, ADamagedLineLeadsToAnotherOneAndIsNoFailure) {
    RestoreMachine m = machine_in(S::verify);
    EXPECT_TRUE(m.take(E::damaged));
    EXPECT_EQ(m.state(), S::check);
    EXPECT_FALSE(m.turned_back_in());
    for (S from : kStraight) {
        RestoreMachine other = machine_in(from);
        EXPECT_EQ(other.take(E::damaged), from == S::verify) << name_of(from);
    }
}

TEST(RestoreMachine, HalvesAreCleanedUp) {
    for (S from : kStanding) {
        for (E event : {E::failed, E::timeout, E::host_lost}) {
            RestoreMachine m = machine_in(from);
            EXPECT_TRUE(m.take(event, "why"));
            EXPECT_EQ(m.state(), S::clean) << name_of(from);
            for (E after : {E::ok, E::failed, E::timeout}) {
                RestoreMachine end = m;
                EXPECT_TRUE(end.take(after, "later"));
                EXPECT_EQ(end.state(), S::failed);
                EXPECT_EQ(end.reason(), "why");
            }
        }
    }
}

TEST(RestoreMachine, AJobThatMayRunAgainIsLeftAlone) {
    for (E event : {E::failed, E::timeout, E::host_lost}) {
        RestoreMachine m = machine_in(S::rejoin);
        EXPECT_TRUE(m.take(event, "why"));
        EXPECT_EQ(m.state(), S::failed);
    }
}

TEST(RestoreMachine, TheStraightWay) {
    RestoreMachine m;
    for (std::size_t i = 0; i + 1 < kStraight.size(); ++i) {
        EXPECT_EQ(m.state(), kStraight[i]);
        EXPECT_EQ(takes_masters(m.state()), kStraight[i] == S::resume || kStraight[i] == S::rejoin);
        EXPECT_TRUE(m.take(E::ok));
    }
    EXPECT_EQ(m.state(), S::done);
    EXPECT_TRUE(m.over());
    for (E event : kEvents) EXPECT_FALSE(m.take(event));
}

// The generation is on disk before a guest of it runs.
TEST(RestoreMachine, DestroyComesOnlyAfterRaise) {
    std::set<std::pair<S, E>> seen;
    for (const auto& row : restore_table().transitions) {
        EXPECT_TRUE(seen.emplace(row.from, row.event).second);
        if (row.to == S::destroy) {
            EXPECT_EQ(row.from, S::raise);
        }
        if (row.to == S::restore) {
            EXPECT_EQ(row.from, S::destroy);
        }
        if (row.to == S::resume) {
            EXPECT_EQ(row.from, S::restore);
        }
        if (row.to == S::done) {
            EXPECT_EQ(row.from, S::rejoin);
        }
    }
}

TEST(RestoreMachine, EveryPairDoesWhatTheTableSaysAndNothingElse) {
    for (const auto& row : restore_table().states) {
        for (E event : kEvents) {
            const auto to = restore_table().next(row.state, event);
            RestoreMachine m = machine_in(row.state);
            EXPECT_EQ(m.take(event), to.has_value()) << name_of(row.state) << name_of(event);
            EXPECT_EQ(m.state(), to.value_or(row.state)) << name_of(row.state) << name_of(event);
        }
    }
}

TEST(RestoreMachine, TheReasonKnowsInWhichStageItCame) {
    RestoreMachine m = machine_in(S::raise);
    EXPECT_FALSE(m.turned_back_in());
    m.take(E::host_lost, "host h2 is lost");
    m.take(E::timeout, "later");
    EXPECT_EQ(m.turned_back_in(), S::raise);
    EXPECT_EQ(m.reason(), "host h2 is lost");
}

TEST(RestoreMachine, EveryStageHasADeadlineThatEndsIt) {
    for (const auto& row : restore_table().states) {
        RestoreMachine m = machine_in(row.state);
        EXPECT_EQ(row.limit == nullptr, m.over());
        EXPECT_EQ(m.take(E::timeout), row.limit != nullptr) << name_of(row.state);
    }
}

}  // namespace
}  // namespace grl::coordinator
