#include "grl/messages/guests.h"

#include <algorithm>

namespace grl {

std::string differing_part(const Contents& a, const Contents& b) {
    if (!a || !b) return {};
    for (const ContentId& one : *a) {
        const auto other = std::ranges::find(*b, one.part, &ContentId::part);
        if (other == b->end() || one.id.empty() || other->id.empty()) continue;
        if (one.id != other->id) return one.part;
    }
    return {};
}

bool same_contents(const Contents& a, const Contents& b) {
    return a && b && *a == *b &&
           std::ranges::none_of(*a, [](const ContentId& c) { return c.id.empty(); });
}

}  // namespace grl
