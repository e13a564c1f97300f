// A guest's network card: the linux bridge it is plugged into, and its address.
#pragma once

#include <array>
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "grl/base/json.h"

namespace grl::bridge {

struct Nic : Defaulted {
    std::string bridge;  // linux bridge on the host
    std::string mac;
};
BOOST_DESCRIBE_STRUCT(Nic, (), (bridge, mac))

using Mac = std::array<std::uint8_t, 6>;
// "52:54:00:12:34:56"
std::optional<Mac> parse_mac(const std::string& text);

}  // namespace grl::bridge
