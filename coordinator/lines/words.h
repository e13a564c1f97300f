// How the files of a line's run name things in texts, and what they wait for.
#pragma once

#include <string>

#include "coordinator/lines/record.h"
#include "grl/messages/lines.h"

namespace grl::coordinator {

// What a part's own deadline is allowed to be late by, so that its reason reaches us first.
inline constexpr Milliseconds kLineGrace{500};

inline std::string key_of(const LineHost& host) {
    return "host " + host.name;
}
inline std::string key_of(const LineMember& member) {
    return "node " + member.node;
}

inline std::string text_of(LineId id) {
    return "line " + std::to_string(id.job) + "/" + std::to_string(id.line);
}

}  // namespace grl::coordinator
