// What may pass through the network half: nothing else does, in either direction.
#pragma once

#include <string_view>

#include "grl/wire/channel.h"

namespace grl::bridge {

// A request of the coordinator that the privileged half has a verb for (tests hold the two equal).
bool relayed_request(std::string_view type);

// Passes an event of the privileged half on to the coordinator; an error if it may not pass.
Result<void> relay_event(Channel& coordinator, std::string_view type, const json::object& body);

}  // namespace grl::bridge
