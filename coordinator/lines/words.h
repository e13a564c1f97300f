// How runs name things in texts, and whom they await.
#pragma once

#include <string>

#include "coordinator/lines/record.h"
#include "grl/messages/lines.h"

namespace grl::coordinator {

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
