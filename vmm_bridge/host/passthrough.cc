#include "vmm_bridge/host/passthrough.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

namespace grl::bridge {

namespace {

constexpr unsigned kHex = 16;
constexpr unsigned kDevices = 32;
constexpr unsigned kFunctions = 8;

// The number that all of the text is, if it has at most so many digits.
std::optional<unsigned> hex(std::string_view text, std::size_t digits) {
    unsigned number = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number, kHex);
    if (ec != std::errc() || end != text.data() + text.size() || text.size() > digits) {
        return std::nullopt;
    }
    return number;
}

}  // namespace

std::optional<PciAddress> parse_pci_address(const std::string& text) {
    std::string_view rest = text;
    auto until = [&rest](char mark) {
        const std::size_t at = rest.find(mark);
        const std::string_view part = rest.substr(0, at);
        rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
        return part;
    };
    const bool whole = std::count(text.begin(), text.end(), ':') == 2;
    const auto domain = whole ? hex(until(':'), 4) : std::optional<unsigned>(0);
    const auto bus = hex(until(':'), 2);
    const auto device = hex(until('.'), 2);
    const auto function = hex(rest, 1);
    if (!domain || !bus || !device || !function) return std::nullopt;
    if (*device >= kDevices || *function >= kFunctions) return std::nullopt;
    return PciAddress{static_cast<std::uint16_t>(*domain), static_cast<std::uint8_t>(*bus),
                      static_cast<std::uint8_t>(*device), static_cast<std::uint8_t>(*function)};
}

std::string text_of(const PciAddress& address) {
    char text[sizeof "0000:00:00.0"];
    std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", address.domain, address.bus,
                  address.device & (kDevices - 1), address.function & (kFunctions - 1));
    return text;
}

PassthroughDevices::PassthroughDevices(const std::vector<std::string>& all) : all_(all) {}

std::vector<std::string> PassthroughDevices::of(const std::string& guest) const {
    std::vector<std::string> its;
    for (const std::string& device : all_) {
        if (auto at = owners_.find(device); at != owners_.end() && at->second == guest) {
            its.push_back(device);
        }
    }
    return its;
}

Result<void> PassthroughDevices::check(const std::string& guest, std::size_t count) const {
    const std::size_t its = of(guest).size();
    if (its + free() >= count) return {};
    return fail("placing guest " + guest, "",
                "it needs " + std::to_string(count) + " adapter(s), and " +
                    std::to_string(its + free()) + " of the host's " + std::to_string(all_.size()) +
                    " are left: name more in bridge.adapters, or move a guest away",
                ErrorKind::refused);
}

Result<std::vector<std::string>> PassthroughDevices::take(const std::string& guest,
                                                          std::size_t count) {
    if (Result<void> enough = check(guest, count); !enough) return enough.error();
    std::vector<std::string> its = of(guest);
    for (; its.size() > count; its.pop_back()) owners_.erase(its.back());
    std::size_t lacking = count - its.size();
    for (const std::string& device : all_) {
        if (lacking == 0) break;
        if (owners_.try_emplace(device, guest).second) --lacking;
    }
    return of(guest);
}

void PassthroughDevices::found(const std::string& guest, const std::string& device) {
    if (std::find(all_.begin(), all_.end(), device) != all_.end()) {
        owners_.try_emplace(device, guest);
    }
}

void PassthroughDevices::release(const std::string& guest) {
    std::erase_if(owners_, [&](const auto& owned) { return owned.second == guest; });
}

}  // namespace grl::bridge
