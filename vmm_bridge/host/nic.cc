#include "vmm_bridge/host/nic.h"

#include <charconv>

namespace grl::bridge {

std::optional<Mac> parse_mac(const std::string& text) {
    constexpr std::size_t kStep = 3;  // two digits and a colon
    constexpr int kHex = 16;
    Mac mac{};
    if (text.size() != mac.size() * kStep - 1) return std::nullopt;
    for (std::size_t i = 0; i < mac.size(); ++i) {
        const char* digits = text.data() + i * kStep;
        const auto [end, ec] = std::from_chars(digits, digits + 2, mac[i], kHex);
        if (ec != std::errc() || end != digits + 2) return std::nullopt;
        if (i + 1 < mac.size() && *end != ':') return std::nullopt;
    }
    return mac;
}

}  // namespace grl::bridge
