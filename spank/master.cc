#include "spank/master.h"

#include <algorithm>
#include <ctime>

#include "grl/base/log.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"
#include "grl/page/futex.h"

namespace grl {
namespace {

constexpr Milliseconds kPace{1000};
constexpr Milliseconds kPaceShut{100};
// The state of the ranks is the user's word: so often, and no more, it may bother the coordinator.
constexpr Milliseconds kStatePause{50};
// Less than the coordinator waits for an answer past the limit.
constexpr std::uint32_t kVictimsWait_ms = 200;
// How long a call that goes on, or a mutex that is held, may hold silence up before the operations
// count as deferred. A call that is answered at all is mostly answered sooner; one to a peer that
// computes is not worth more.
constexpr std::int64_t kGrace_ns = 2'000'000;

std::int64_t realtime_ns() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

Error refusal(const std::string& what, const std::string& node, const std::string& why) {
    return fail(what, node, why, ErrorKind::refused);
}

}  // namespace

Master::Master(asio::io_context& io, StepFacts facts, LinePageFile& page, GuestClock& clock,
               Alive alive, Link::Connect connect, Connected connected,
               std::function<void()> rolled_back)
    : facts_(std::move(facts)),
      page_(page),
      clock_(clock),
      alive_(std::move(alive)),
      connected_(std::move(connected)),
      rolled_back_(std::move(rolled_back)),
      deadline_(io),
      pause_(io),
      link_(io, std::move(connect),
            Link::Hooks{
                // Only a guest that stood still has lost time, and it stood still with its gates
                // shut.
                .before =
                    [this] {
                        if (state_ != State::open) clock_.catch_up();
                    },
                .up =
                    [this] {
                        tell_state();
                        connected_(nullptr);
                    },
                .failed = [this](const Error& why) { connected_(&why); },
                .request = [this](const std::string& type, const json::object& body,
                                  Channel::Responder r) { take(type, body, std::move(r)); },
                .event =
                    [this](const std::string& type, const json::object&) {
                        if (type == Start::kType) page_.go();
                    },
                .tick =
                    [this] {
                        page_.beat();
                        page_changed();
                    },
            }) {}

Master::~Master() {
    if (state_ != State::open) abort("the master ends");
}

void Master::take(const std::string& type, const json::object& body, Channel::Responder responder) {
    if (type == Drain::kType) {
        Result<Drain> order = from_json<Drain>(body, type);
        order ? drain(*order, std::move(responder)) : responder.error(order.error());
    } else if (type == Release::kType) {
        Result<Release> order = from_json<Release>(body, type);
        order ? release(*order, std::move(responder)) : responder.error(order.error());
    } else {
        responder.error(fail("answering " + type, facts_.node, "a master takes drain and release",
                             ErrorKind::protocol));
    }
}

void Master::drain(const Drain& order, Channel::Responder responder) {
    const std::string what = "drain for line " + std::to_string(order.line);
    if (state_ != State::open || order.attempt <= attempt_ || order.limit_ms == 0 ||
        order.failsafe_ms == 0) {
        return responder.error(refusal(what, facts_.node,
                                       "attempt " + std::to_string(order.attempt) +
                                           " does not follow attempt " + std::to_string(attempt_) +
                                           (state_ == State::open ? "" : ", which is not over")));
    }
    const std::string not_ready = why_not_ready(page_.ranks(), facts_.node, alive_);
    if (!not_ready.empty()) return responder.error(refusal(what, facts_.node, not_ready));
    state_ = State::draining;
    attempt_ = order.attempt;
    line_ = order.line;
    failsafe_ms_ = order.failsafe_ms;
    drain_.emplace(std::move(responder));
    link_.set_pace(kPaceShut);
    arm(order.limit_ms, [this, limit = order.limit_ms] {
        auto give_up = [this, limit] {
            abort("not silent within " + std::to_string(limit) +
                  " ms: " + who_is_not_silent(page_.ranks(), page_.proof(), attempt_, facts_.node));
        };
        // The node that keeps the others waiting is to be heard first: its reason is the reason.
        if (!waits_for_others(page_.ranks())) return give_up();
        arm(kVictimsWait_ms, give_up);
    });
    clock_.note();
    // Last: from here on the ranks lose time.
    shut_at_ns_ = realtime_ns();
    shut_monotonic_ns_ = monotonic_ns();
    page_.shut(order.attempt, order.line,
               std::min(kGrace_ns, std::int64_t{order.limit_ms} * 1'000'000 / 4));
}

void Master::page_changed() {
    if (state_ == State::draining) judge();
    if (state_ == State::open) state_changed();
}

void Master::judge() {
    const Standing standing =
        judge_silence(page_.ranks(), page_.proof(), attempt_, facts_.ranks, facts_.node, alive_);
    if (standing.kind == Standing::broken) return abort(standing.why);
    if (standing.kind == Standing::waiting) return;
    state_ = State::silent;
    arm(failsafe_ms_, [this] { abort("no word for " + std::to_string(failsafe_ms_) + " ms"); });
    report_silent();
}

void Master::report_silent() {
    const ProofCopy proof = page_.proof();
    Silent silent;
    silent.attempt = attempt_;
    silent.proof = {proof.ranks, proof.issued, proof.completed, proof.deferred};
    silent.shut_at_ns = shut_at_ns_;
    // The proof's own time, as far as a rank's word goes.
    silent.silent_at_ns =
        shut_at_ns_ +
        (std::clamp(proof.at_ns, shut_monotonic_ns_, monotonic_ns()) - shut_monotonic_ns_);
    drain_->reply(silent);
    drain_.reset();
}

void Master::release(const Release& order, Channel::Responder responder) {
    const bool rolled_back = order.generation > generation_;
    // Only a guest that stood still, or was restored, has a clock to put right.
    if (rolled_back || (order.attempt == attempt_ && state_ != State::open))
        clock_.step_to(order.now_ns, rolled_back);
    if (rolled_back) {
        generation_ = order.generation;
        page_.set_generation(generation_);
        if (rolled_back_) rolled_back_();  // before any rank of it goes on
    }
    const Outcome outcome = order.aborted ? Outcome::aborted : Outcome::released;
    if (order.attempt > attempt_) {
        // This node has missed it, but the others' agents may wait in its fence.
        if (state_ != State::open) abort("overtaken by attempt " + std::to_string(order.attempt));
        attempt_ = order.attempt;
        line_ = order.line;
        page_.open(attempt_, outcome);
    } else if (order.attempt == attempt_ && state_ != State::open) {
        if (drain_) {
            drain_->error(refusal("drain for line " + std::to_string(line_), facts_.node,
                                  "the coordinator ended it"));
            drain_.reset();
        }
        open_gates(outcome);
    }
    responder.reply(Done{});  // also of an attempt that is over
    state_changed();
}

void Master::open_gates(Outcome outcome) {
    page_.open(attempt_, outcome);
    state_ = State::open;
    deadline_.cancel();
    link_.set_pace(kPace);
}

void Master::abort(const std::string& why) {
    log_warning("line " + std::to_string(line_) + " aborted: " + why);
    const bool answered = !drain_;
    if (drain_) {
        drain_->error(fail("drain for line " + std::to_string(line_), facts_.node, why));
        drain_.reset();
    }
    open_gates(Outcome::aborted);
    if (answered) tell_state();  // else the answer says it
}

void Master::arm(std::uint32_t ms, std::function<void()> then) {
    deadline_.expires_after(Milliseconds(ms));
    deadline_.async_wait([this, attempt = attempt_, state = state_,
                          then = std::move(then)](const boost::system::error_code& ec) {
        // A timer that has gone off cannot be cancelled any more.
        if (!ec && attempt == attempt_ && state == state_) then();
    });
}

StepState Master::state_of_step() const {
    StepState state;
    state.job = facts_.job;
    state.step = facts_.step;
    state.node = facts_.node;
    state.nodes = facts_.nodes;
    state.local_ranks = facts_.local_ranks;
    state.ranks = facts_.ranks;
    state.uid = facts_.uid;
    state.every_s = facts_.every_s;
    for (const RankWords& rank : page_.ranks()) {
        state.joined += rank.state != RankState::absent;
        state.leaving += rank.state == RankState::leaving || rank.state == RankState::left;
    }
    state.generation = generation_;
    state.attempt = attempt_;
    state.line = line_;
    state.closed = state_ == State::open;
    state.forked = page_.forked();
    return state;
}

void Master::tell_state() {
    told_ = state_of_step();
    link_.send(*told_);
}

// While the gates are shut the coordinator hears of this attempt only.
void Master::state_changed() {
    if (pausing_ || !link_.up() || !told_) return;
    const StepState now = state_of_step();
    if (now.joined == told_->joined && now.leaving == told_->leaving &&
        now.forked == told_->forked && now.closed == told_->closed &&
        now.attempt == told_->attempt && now.generation == told_->generation) {
        return;
    }
    tell_state();
    pausing_ = true;
    pause_.expires_after(kStatePause);
    pause_.async_wait([this](const boost::system::error_code& ec) {
        if (ec) return;
        pausing_ = false;
        page_changed();
    });
}

}  // namespace grl
