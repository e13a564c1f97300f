#include "vmm_bridge/host/hosted_guest.h"

namespace grl::bridge {

HostedGuest::HostedGuest(GuestDefinition definition, Handlers handlers)
    : definition_(std::move(definition)),
      digest_(definition_digest(definition_)),
      handlers_(std::move(handlers)) {}

void HostedGuest::set_state(GuestState state) {
    if (state == state_) return;
    state_ = state;
    tell_changed();
}

Error HostedGuest::error(const std::string& act, const std::string& why, ErrorKind kind) const {
    return fail(act + " guest " + definition_.name, "", why, kind);
}

bool HostedGuest::join_ending(Callback<Done> done) {
    if (!ending_) ending_.emplace();
    return ending_->join(std::move(done));
}

void HostedGuest::end(Result<Done> outcome) {
    if (!ending_) return;
    // Whoever is told may want it to end again.
    Act<Done> ending = std::move(*ending_);
    ending_.reset();
    ending.finish(std::move(outcome));
}

void HostedGuest::tell_changed() const {
    if (handlers_.changed) handlers_.changed();
}

void HostedGuest::tell_death(const std::string& reason) const {
    if (handlers_.died) handlers_.died(reason);
}

}  // namespace grl::bridge
