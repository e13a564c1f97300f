// The verbs that the privileged half takes: this table is the whole of what can be asked of it.
// Everything else is an error. Bodies are parsed into messages before a verb sees them.
#pragma once

#include <span>
#include <string_view>

#include "vmm_bridge/bridge.h"

namespace grl::bridge {

enum class When {
    always,
    line_prepared,  // these three: the line of its id is under way here and has come so far
    line_frozen,
    line_captured,  // a hold, which captures nothing: frozen
};

struct Verb {
    std::string_view type;
    When when;
    void (*act)(Bridge&, const json::object& body, Callback<json::object> done);
};

std::span<const Verb> verbs();

// Does what a message asks, or says why not.
void run_verb(Bridge& bridge, std::string_view type, const json::object& body,
              Callback<json::object> done);

}  // namespace grl::bridge
