// The host's devices that are passed through to guests ([bridge] adapters), and whose each is.
//
// A guest's definition says how many it has, not which: its line is restored on another host. They
// are its own from its start or its loading until it is gone, also while they are taken out for a
// capture. Pure; threads: any one at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "grl/base/result.h"

namespace grl::bridge {

struct PciAddress {
    std::uint16_t domain = 0;
    std::uint8_t bus = 0;
    std::uint8_t device = 0;    // 0 to 31
    std::uint8_t function = 0;  // 0 to 7
    bool operator==(const PciAddress&) const = default;
};

// "0000:3b:02.1", or "3b:02.1" in domain 0.
std::optional<PciAddress> parse_pci_address(const std::string& text);
std::string text_of(const PciAddress& address);  // with the domain

class PassthroughDevices {
  public:
    explicit PassthroughDevices(const std::vector<std::string>& all);

    const std::vector<std::string>& all() const { return all_; }
    // The guest's, in the order of all(): of those it has and of the free ones so many; what it has
    // beyond that is free. Refused, and nothing is taken, if there are too few.
    Result<std::vector<std::string>> take(const std::string& guest, std::size_t count);
    // The same answer without taking any.
    Result<void> check(const std::string& guest, std::size_t count) const;
    std::size_t free() const { return all_.size() - owners_.size(); }
    std::size_t count_of(const std::string& guest) const { return of(guest).size(); }
    // It was found in the guest. Nothing if it is another's, or not the host's.
    void found(const std::string& guest, const std::string& device);
    void release(const std::string& guest);

  private:
    std::vector<std::string> of(const std::string& guest) const;

    std::vector<std::string> all_;
    std::map<std::string, std::string> owners_;  // by device
};

}  // namespace grl::bridge
