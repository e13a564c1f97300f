// XXH3-128, as 32 hexadecimal digits in the order that xxh128sum prints. It finds damage; it is no
// defence against a forger (the files are root's). Not thread-safe; one per stream.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace grl::bridge {

class Digest {
  public:
    Digest();
    ~Digest();
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;

    void update(const void* bytes, std::size_t count);
    std::string hex() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string digest_of(std::string_view text);

}  // namespace grl::bridge
