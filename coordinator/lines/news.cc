// What a line's run hears from the rest of the coordinator.
#include "coordinator/lines/run.h"
#include "coordinator/lines/words.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kTellEvery{200};

}  // namespace

void LineRun::bridge_away(const std::string& name, const std::string& why) {
    if (order_.move && moves_over(name)) {
        return fire(LineEvent::bridge_lost, "host " + name + " is lost: " + why);
    }
    const LineHost* h = host(name);
    if (!h) return;
    const LineState state = machine_.state();
    const bool storing = state == LineState::images || state == LineState::hold_images;
    if (storing && record_.durable_on(*h)) return;
    if (state == LineState::hold && line_stands_) return part("host " + name + " is lost: " + why);
    fire(LineEvent::bridge_lost, "host " + name + " is lost: " + why);
}

void LineRun::master_away(const std::string& node, const std::string& why) {
    for (const LineMember& m : order_.members) {
        if (m.node == node)
            fire(LineEvent::master_lost, "the master on " + node + " is lost: " + why);
    }
}

void LineRun::master_says(const StepState& state) {
    const LineState now = machine_.state();
    const bool before = now == LineState::drain || now == LineState::freeze ||
                        now == LineState::capture || now == LineState::hold_images ||
                        now == LineState::hold_manifest || now == LineState::hold;
    if (before && state.closed && owns(state))
        fire(LineEvent::failed, "the gates on " + state.node + " were opened before the cut");
}

bool LineRun::master_back(const std::shared_ptr<Channel>& channel, const StepState& state) {
    if (state.step != order_.step || state.attempt != order_.attempt) return false;
    for (LineMember& m : order_.members) {
        if (m.node != state.node) continue;
        m.channel = channel;
        switch (machine_.state()) {
            case LineState::freeze:
            case LineState::capture:
            case LineState::hold_images:
            case LineState::hold_manifest:
            case LineState::hold:
            case LineState::switchover:
            case LineState::note:
            case LineState::give:
                return true;  // its release is to come
            case LineState::wake:
            case LineState::go_on:
            case LineState::release: {
                if (awaited_.count(key_of(m)) == 0) return true;
                if (state.closed) {
                    answered(key_of(m));
                } else if (order_.move || host_resumed(m.node)) {
                    release_member(m, false);
                }
                return true;
            }
            case LineState::clear:
            case LineState::images:
            case LineState::manifest:
                if (!state.closed) release_member(m, false);
                return true;
            case LineState::undo:
            case LineState::hold_undo:
            case LineState::strand:
                if (!state.closed) release_member(m, true);
                return true;
            default:
                return false;
        }
    }
    return false;
}

void LineRun::guest_died(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    const LineState state = machine_.state();
    const std::string text = "guest " + guest + " died: " + reason;
    if (state == LineState::release) return fire(LineEvent::failed, text);
    if (state == LineState::hold && line_stands_) return part(text);
    // Its image may be on storage already: then the line is committed, and the hold ends at once.
    if (keeps_hold() && lost_.empty()) lost_ = text;
    image_failed(guest, text);
}

void LineRun::image_progress(const LineProgress& progress) {
    if (progress.id.line != order_.id.line) return;
    record_.progress(progress);
    tell_later();
}

void LineRun::tell_later() {
    if (std::exchange(telling_later_, true)) return;
    tell_later_.expires_after(kTellEvery);
    tell_later_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
        auto self = weak.lock();
        if (!self) return;
        self->telling_later_ = false;
        if (!ec && !self->machine_.over()) self->tell();
    });
}

void LineRun::image_durable(const GuestDurable& durable) {
    if (durable.id.line != order_.id.line) return;
    if (!record_.durable(durable)) {
        return image_failed(durable.guest, "its bridge reports no image");
    }
    const LineState state = machine_.state();
    if (state != LineState::images && state != LineState::hold_images) return;
    if (record_.all_durable()) return fire(LineEvent::all_durable);
    tell();
}

void LineRun::image_failed(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    for (const GuestReport& g : record_.report().guests) {
        if (g.guest == guest && g.durable) return;  // what is on storage stays good
    }
    record_.failed(guest, reason);
    image_fault_ = "image of guest " + guest + ": " + reason;
    fire(LineEvent::image_failed, image_fault_);
}

}  // namespace grl::coordinator
