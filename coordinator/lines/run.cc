#include "coordinator/lines/run.h"

#include <algorithm>

#include "coordinator/lines/words.h"
#include "grl/messages/guests.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

LineRun::LineRun(asio::io_context& io, std::uint32_t job, LineKind kind, std::string cluster,
                 std::string capture, const Deadlines& deadlines, Hooks hooks)
    : io_(io),
      cluster_(std::move(cluster)),
      capture_(std::move(capture)),
      deadlines_(deadlines),
      hooks_(std::move(hooks)),
      record_(job),
      deadline_(io),
      tell_later_(io) {
    order_.id.job = job;
    order_.kind = kind;
}

void LineRun::start() {
    firing_ = true;
    enter();
    firing_ = false;
    settle();
}

void LineRun::cancel(const std::string& reason) {
    leaving_ = machine_.state() == LineState::hold_manifest;
    fire(LineEvent::cancel, reason);
}

void LineRun::let_go() {
    leaving_ = machine_.state() == LineState::hold_manifest;
    fire(LineEvent::let_go);
}

void LineRun::hand_over() {
    fire(LineEvent::parted, "the job is restored");
    fire(LineEvent::cancel, "a restore was asked for");
}

void LineRun::abandon() {
    ++epoch_;
    deadline_.cancel();
    tell_later_.cancel();
    hooks_ = {};
}

// ---- events ----

void LineRun::fire(LineEvent event, const std::string& reason) {
    fired_.emplace_back(event, reason);
    settle();
}

// An action may itself raise an event (nobody to ask, all images there): one at a time, in order.
void LineRun::settle() {
    if (firing_) return;
    const auto self = shared_from_this();
    firing_ = true;
    while (!fired_.empty()) {
        const auto [event, reason] = fired_.front();
        fired_.pop_front();
        if (machine_.take(event, reason)) enter();
    }
    firing_ = false;
}

void LineRun::enter() {
    ++epoch_;
    awaited_.clear();
    deadline_.cancel();
    const LineStateRow& row = line_state_row(machine_.state());
    limit_ = limit_now();
    if (!machine_.over()) record_.enter(row.phase);
    if (row.limit) {
        deadline_.expires_after(limit() + kLineGrace);
        deadline_.async_wait(
            [weak = weak_from_this(), epoch = epoch_](const boost::system::error_code& ec) {
                auto self = weak.lock();
                if (ec || !self || self->epoch_ != epoch) return;
                self->fire(LineEvent::timeout, self->too_long() + self->missing());
            });
    }
    act();
    if (!machine_.over()) tell();
}

void LineRun::act() {
    switch (machine_.state()) {
        case LineState::request:
            return admit();
        case LineState::prepare:
            return prepare();
        case LineState::copy:
            return copy();
        case LineState::precopy:
            return precopy();
        case LineState::drain:
            return drain();
        case LineState::freeze:
            return freeze();
        case LineState::capture:
            return capture();
        case LineState::hold:
            return hold();
        case LineState::hold_images:
            return await_images();
        case LineState::hold_manifest:
            return write_manifest();
        case LineState::hold_undo:
            return undo();
        case LineState::switchover:
            return switch_over();
        case LineState::note:
            return note();
        case LineState::give:
            return give();
        case LineState::wake:
            return wake();
        case LineState::go_on:
            return go_on();
        case LineState::clear:
            return clear();
        case LineState::strand:
            return strand();
        case LineState::release:
            return release();
        case LineState::images:
            return await_images();
        case LineState::manifest:
            return write_manifest();
        case LineState::undo:
            return undo();
        case LineState::erase:
            return erase();
        case LineState::discard:
            return discard();
        case LineState::done:
        case LineState::aborted:
            return end();
    }
}

void LineRun::tell() {
    if (hooks_.progress) hooks_.progress(record_.report());
    if (order_.move && hooks_.moving) hooks_.moving(move_report());
}

// ---- small things ----

const LineHost* LineRun::host(const std::string& name) const {
    for (const LineHost& h : order_.hosts) {
        if (h.name == name) return &h;
    }
    return nullptr;
}

bool LineRun::has_guest(const std::string& name) const {
    if (order_.move) return order_.move->guest == name;
    const auto& guests = record_.report().guests;
    return std::any_of(guests.begin(), guests.end(),
                       [&](const GuestReport& g) { return g.guest == name; });
}

bool LineRun::host_resumed(const std::string& guest) const {
    for (const LineHost& h : order_.hosts) {
        for (const GuestInfo& g : h.guests) {
            if (g.name == guest) return resumed_hosts_.count(h.name) != 0;
        }
    }
    return false;
}

// What a hold does with its guests stopped is over when the hold would be.
Milliseconds LineRun::limit_now() const {
    const LineStateRow& row = line_state_row(machine_.state());
    const Milliseconds limit(row.limit ? deadlines_.*row.limit : 0);
    const bool stands_still = row.state == LineState::capture ||
                              row.state == LineState::hold_images ||
                              row.state == LineState::hold_manifest;
    return keeps_hold() && stands_still ? std::min(limit, hold_left()) : limit;
}

std::string LineRun::too_long() const {
    const LineStateRow& row = line_state_row(machine_.state());
    const std::string took = name_of(row.state) + " took longer than ";
    if (limit_ == Milliseconds(deadlines_.*row.limit)) {
        return took + std::to_string(limit_.count()) + " ms";
    }
    return took + "what was left of the " + std::to_string(order_.hold_s) +
           " s that the hold may last";
}

std::string LineRun::missing() const {
    std::string list;
    for (const std::string& who : awaited_) list += (list.empty() ? "" : ", ") + who;
    return list.empty() ? "" : ": no answer from " + list;
}

}  // namespace grl::coordinator
