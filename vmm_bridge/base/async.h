// How asynchronous work reports here: a callback that comes exactly once, on the io_context's
// thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "grl/base/result.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"

namespace grl::bridge {

template <class T>
using Callback = std::function<void(Result<T>)>;

// Something that is done once, however often it is asked for: whoever asks while it runs or after
// it ended gets the same outcome.
template <class T>
class Act {
  public:
    // True for the first: the caller starts the work and calls finish() when it has ended.
    bool join(Callback<T> waiter) {
        if (outcome_) {
            waiter(*outcome_);
            return false;
        }
        waiters_.push_back(std::move(waiter));
        return !std::exchange(begun_, true);
    }
    void finish(Result<T> outcome) {
        if (outcome_) return;
        begun_ = true;
        outcome_ = std::move(outcome);
        for (auto& waiter : std::exchange(waiters_, {})) waiter(*outcome_);
    }
    bool begun() const { return begun_; }
    bool done() const { return outcome_.has_value(); }

  private:
    std::optional<Result<T>> outcome_;
    std::vector<Callback<T>> waiters_;
    bool begun_ = false;
};

// Works that follow each other in the order in which they were asked for, however each ends.
class Turns {
  public:
    void take(std::function<void(Callback<Done>)> work, Callback<Done> done) {
        auto mine = std::make_shared<Act<Done>>();
        mine->join(std::move(done));
        const auto earlier = std::exchange(latest_, mine);
        auto begin = [work = std::move(work), mine](const Result<Done>&) {
            work([mine](Result<Done> ended) { mine->finish(std::move(ended)); });
        };
        earlier ? (void)earlier->join(begin) : begin(Done{});
    }

  private:
    std::shared_ptr<Act<Done>> latest_;
};

// Starts all at once: start(item, callback). When the last has ended, `done` gets their results in
// the order of the items, or the first error that came.
template <class T, class Items, class Start>
void gather(const Items& items, Start start, Callback<std::vector<T>> done) {
    struct State {
        std::vector<std::optional<T>> results;
        std::size_t left;
        std::optional<Error> error;
        Callback<std::vector<T>> done;
    };
    auto state = std::make_shared<State>();
    state->results.resize(items.size());
    state->left = items.size() + 1;  // one for this function, so that none ends before all began
    state->done = std::move(done);
    auto end_one = [state] {
        if (--state->left != 0) return;
        if (state->error) return state->done(*state->error);
        std::vector<T> results;
        for (auto& r : state->results) results.push_back(std::move(*r));
        state->done(std::move(results));
    };
    std::size_t index = 0;
    for (const auto& item : items) {
        start(item, Callback<T>([state, end_one, index](Result<T> result) {
                  if (result) {
                      state->results[index] = std::move(*result);
                  } else if (!state->error) {
                      state->error = result.error();
                  }
                  end_one();
              }));
        ++index;
    }
    end_one();
}

// A gather of acts that have nothing to tell but that they are done.
template <class Items, class Start>
void gather_done(const Items& items, Start start, Callback<Done> done) {
    gather<Done>(items, start, [done = std::move(done)](Result<std::vector<Done>> all) {
        if (!all) return done(all.error());
        done(Done{});
    });
}

}  // namespace grl::bridge
