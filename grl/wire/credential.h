// MUNGE credentials: who says it, and for which connection. Blocking (a local socket, about a
// millisecond); any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "grl/base/result.h"

namespace grl {

struct Claim {
    std::uint32_t uid = 0;
    std::string origin;   // address of the host on which it was made
    std::string payload;  // as given to make_credential
};

// `socket` empty: MUNGE's default. Only this uid's processes at the same socket's key can make it.
// `reader`: the one uid that may read it, root not excepted; else whoever reaches a munged of the
// realm.
Result<std::string> make_credential(const std::string& payload, const std::string& socket,
                                    std::optional<std::uint32_t> reader = {});
Result<Claim> read_credential(const std::string& credential, const std::string& socket);

// 128 random bits in hexadecimal.
std::string make_nonce();

}  // namespace grl
