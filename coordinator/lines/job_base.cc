#include "coordinator/lines/job_base.h"

#include <algorithm>

#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/masters.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kTellEvery{200};

}  // namespace

JobBase::JobBase(const JobSetting& setting, std::uint32_t job, JobHooks hooks)
    : JobRun(setting.io), hooks_(std::move(hooks)), record_(job), tell_later_(setting.io) {
    order_.id.job = job;
}

void JobBase::abandon() {
    JobRun::abandon();
    tell_later_.cancel();
    hooks_ = {};
}

bool JobBase::owns(const StepState& said) const {
    return !over() && id().line != 0 && said.step == order_.step && said.attempt == order_.attempt;
}

// ---- the straight way ----

void JobBase::admit() {
    auto shape = [weak = weak_from_this(), this](LineOrder& order,
                                                 const JobFacts& facts) -> Result<void> {
        const auto self = weak.lock();
        return self ? this->shape(order, facts) : fail("admitting a run", "", "it has ended");
    };
    hooks_.admit(std::move(shape), here([this](Result<LineOrder> order) {
                     order = admitted(std::move(order));
                     if (!order) return failed(order.error().why);
                     order_ = std::move(*order);
                     record_.admitted(order_);
                     all_answered();
                 }));
}

void JobBase::drain(std::uint32_t drain_ms, std::uint32_t failsafe_ms) {
    const Drain message{order_.id.line, order_.attempt, drain_ms, failsafe_ms};
    for (const LineMember& m : order_.members) {
        ask<Silent>(key_of(m), m.channel, message,
                    [this, node = m.node](const Silent& said) { silent(node, said); });
    }
    all_asked();
}

void JobBase::silent(const std::string& node, const Silent& said) {
    const Proof& p = said.proof;
    if (said.attempt != order_.attempt || p.issued != p.completed + p.deferred) {
        return failed("the proof of silence from " + node + " is off");
    }
    if (!record_.node_silent(said)) {
        return failed("the proofs of silence of " + node + " and another node differ");
    }
    if (awaited() == 1) record_.silent();
}

void JobBase::release_member(const LineMember& member, bool aborted) {
    Release message;
    message.line = order_.id.line;
    message.attempt = order_.attempt;
    message.generation = order_.generation;
    message.aborted = aborted;
    message.now_ns = wall_ns();
    ask<Done>(key_of(member), member.channel, message);
}

void JobBase::release_all(bool aborted) {
    for (const LineMember& m : order_.members) release_member(m, aborted);
}

void JobBase::finish(bool done, const Manifest* stands) {
    record_.end(done ? Phase::done : Phase::aborted, reason());
    tell_later_.cancel();
    // Not from inside the machine: what follows may begin the job's next run.
    asio::post(io(), [self = shared_from_this(), this, stands] {
        if (hooks_.ended) hooks_.ended(record_.report(), stands);
    });
}

// ---- masters ----

void JobBase::master_away(const std::string& node, const std::string& why) {
    for (const LineMember& m : order_.members) {
        if (m.node == node) master_lost("the master on " + node + " is lost: " + why);
    }
}

void JobBase::master_says(const StepState& said) {
    const bool shut = gates() == Gates::closing || gates() == Gates::shut;
    if (shut && said.closed && owns(said))
        failed("the gates on " + said.node + " were opened before the cut");
}

bool JobBase::master_back(const std::shared_ptr<Channel>& channel, const StepState& said) {
    if (said.step != order_.step || said.attempt != order_.attempt) return false;
    for (LineMember& m : order_.members) {
        if (m.node != said.node) continue;
        m.channel = channel;
        return tell_back(m, said);
    }
    return false;
}

// What it has missed. `closed` is its attempt's end: its gates are open.
bool JobBase::tell_back(const LineMember& member, const StepState& said) {
    switch (gates()) {
        case Gates::apart:
        case Gates::closing:
            return false;
        case Gates::shut:
        case Gates::still:
            return true;  // its release is to come
        case Gates::opening:
            if (!awaits(key_of(member))) return true;
            if (said.closed) {
                answered(key_of(member));
            } else if (may_release(member)) {
                release_member(member, false);
            }
            return true;
        case Gates::opened:
            if (!said.closed) release_member(member, false);
            return true;
        case Gates::undone:
            if (!said.closed) release_member(member, true);
            return true;
    }
    return false;
}

// ---- answers ----

void JobBase::refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                      const Error& error) {
    if (undoing()) {
        log_warning("undoing " + text_of(order_.id) + ": " + who + ": " + error.text());
        return answered(who);
    }
    if (channel->is_open()) return failed(who + ": " + error.text());
    const std::string text = who + " is lost: " + error.why;
    const bool is_member =
        std::ranges::any_of(order_.members, [&](const LineMember& m) { return key_of(m) == who; });
    if (!is_member) return bridge_lost(text);
    // It comes back when its guest runs on, and is released then.
    if (gates() == Gates::opening) return;
    gates() == Gates::closing ? master_lost(text) : bridge_lost(text);
}

void JobBase::tell() {
    if (hooks_.progress) hooks_.progress(record_.report());
}

void JobBase::tell_later() {
    if (std::exchange(telling_later_, true)) return;
    tell_later_.expires_after(kTellEvery);
    tell_later_.async_wait([weak = weak_from_this(), this](const boost::system::error_code& ec) {
        const auto self = weak.lock();
        if (!self) return;
        telling_later_ = false;
        if (!ec && !over()) tell();
    });
}

}  // namespace grl::coordinator
