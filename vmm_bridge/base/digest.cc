#include "vmm_bridge/base/digest.h"

#include <xxhash.h>

namespace grl::bridge {

namespace {

std::string hex_of(XXH128_hash_t hash) {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, hash);
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string hex;
    for (unsigned char byte : canonical.digest) {
        hex += kDigits[byte >> 4];
        hex += kDigits[byte & 15];
    }
    return hex;
}

}  // namespace

struct Digest::State {
    XXH3_state_t* hash = XXH3_createState();
    ~State() { XXH3_freeState(hash); }
    State() { XXH3_128bits_reset(hash); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

Digest::Digest() : state_(std::make_unique<State>()) {}
Digest::~Digest() = default;

void Digest::update(const void* bytes, std::size_t count) {
    XXH3_128bits_update(state_->hash, bytes, count);
}

std::string Digest::hex() const {
    return hex_of(XXH3_128bits_digest(state_->hash));
}

std::string digest_of(std::string_view text) {
    return hex_of(XXH3_128bits(text.data(), text.size()));
}

}  // namespace grl::bridge
