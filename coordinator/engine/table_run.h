// A run through a table: takes events one at a time and in order, enters states, and gives each its
// limit. What a state does is the kind's act(); which events its asking raises, too:
//
//     case S::drain:
//         when_all(E::all_silent);  // raised when nobody is awaited any more
//         return drain();           // ask(…) each
//
// A table of a run has the events `failed` (a part said no) and `timeout` (the limit has passed).
// `Base` is Run, or what several kinds of run share.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "coordinator/engine/run.h"
#include "coordinator/engine/state_table.h"

namespace grl::coordinator {

template <class State, class Event, class Base = Run, class Row = StateRow<State>>
class TableRun : public Base {
  public:
    using Table = StateTable<State, Event, Row>;

    void start() override {
        taking_ = true;
        enter();
        taking_ = false;
        take_events();
    }
    bool over() const override { return machine_.over(); }
    const std::string& reason() const override { return machine_.reason(); }
    State state() const { return machine_.state(); }

  protected:
    template <class... Args>
    TableRun(const Table& table, const Deadlines& deadlines, Args&&... args)
        : Base(std::forward<Args>(args)...), deadlines_(deadlines), machine_(table) {}

    const Row& row() const { return machine_.row(); }
    const StateMachine<State, Event, Row>& machine() const { return machine_; }

    void fire(Event event, const std::string& reason = {}) {
        events_.emplace_back(event, reason);
        take_events();
    }
    void when_all(Event event) { when_all_ = event; }

    // A state is left; the machine is in the next one already.
    virtual void left(State) {}
    // Of the current state; none: it has no deadline.
    virtual std::optional<Milliseconds> state_limit() const {
        if (!row().limit) return std::nullopt;
        return Milliseconds(deadlines_.*row().limit);
    }

    void failed(const std::string& why) override { fire(Event::failed, why); }
    void late(const std::string& text) override { fire(Event::timeout, text); }
    void all_answered() override {
        if (when_all_) fire(*when_all_);
    }
    std::string late_text() const override {
        return name_of(state()) + " took longer than " + std::to_string(this->limit().count()) +
               " ms" + no_answer();
    }
    std::string no_answer() const {
        return this->awaited() == 0 ? "" : ": no answer from " + this->awaited_names();
    }

    const Deadlines deadlines_;

  private:
    // What a state does may itself raise events: they wait until it is entered.
    void take_events() {
        if (taking_) return;
        const auto self = this->shared_from_this();
        taking_ = true;
        while (!events_.empty()) {
            const auto [event, reason] = events_.front();
            events_.pop_front();
            const State before = state();
            if (!machine_.take(event, reason)) continue;
            left(before);
            enter();
        }
        taking_ = false;
    }

    void enter() {
        this->leave_state();
        when_all_.reset();
        if (const auto limit = state_limit()) this->arm(*limit);
        this->entered();
        this->act();
        if (!over()) this->tell();
    }

    StateMachine<State, Event, Row> machine_;
    std::optional<Event> when_all_;
    std::deque<std::pair<Event, std::string>> events_;
    bool taking_ = false;
};

}  // namespace grl::coordinator
