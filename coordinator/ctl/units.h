// Numbers as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace grl::coordinator {

std::string bytes_text(std::uint64_t bytes);  // "96.1 MiB"
std::string mib_text(std::uint64_t mib);
std::string ms_text(double ms);                               // "0.42", "45.3", "812"
std::string duration_text(double ms);                         // "45 ms", "8.2 s", "3 min 20 s"
std::string rate_text(std::uint64_t bytes, std::int64_t ns);  // MiB/s; "-" if there is no time
std::string time_text(std::int64_t wall_ns);                  // local, to the second; "-" for 0
std::string user_text(std::uint32_t uid);                     // name, or the number

}  // namespace grl::coordinator
