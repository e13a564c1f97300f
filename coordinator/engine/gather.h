// Several answers awaited as one: each is taken as it comes, and once the last has come and nobody
// is asked any more, the end is told. What was gathered lives as long as anyone is awaited.
//
//     Gather<Round> gather({}, [](Round& round) { … });
//     for (…) ask(…, gather.one([](Round& round, const Result<Done>& done) { … }));
//     gather.all_asked();
//
// One thread. Answers may come inside the call that asks. An answer that never comes is the
// asker's matter: requests have deadlines.
#pragma once

#include <functional>
#include <memory>
#include <utility>

namespace grl::coordinator {

template <class Round>
class Gather {
  public:
    Gather(Round round, std::function<void(Round&)> end)
        : state_(std::make_shared<State>(State{std::move(round), std::move(end)})) {}

    // One more is awaited. What this gives is to be called once, with its answer.
    template <class Take>
    auto one(Take take) {
        ++state_->left;
        return [state = state_, take = std::move(take)](const auto& answer) mutable {
            take(state->round, answer);
            state->end_one();
        };
    }
    // After the last one(): ends at once if none was asked or all have answered.
    void all_asked() { state_->end_one(); }

  private:
    struct State {
        Round round;
        std::function<void(Round&)> end;
        std::size_t left = 1;  // one for who asks
        void end_one() {
            if (--left == 0) end(round);
        }
    };
    std::shared_ptr<State> state_;
};

}  // namespace grl::coordinator
