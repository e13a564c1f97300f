// One line a fact, to standard error: time, level, text. journald and the lab's log files keep it.
// The function that first decides an error logs it; callers pass it on. Any thread.
#pragma once

#include <string_view>

namespace grl {

enum class LogLevel { debug, info, warning, error };

// `program` stands before each line; lines below `least` are dropped. Call once, from main.
void log_start(std::string_view program, LogLevel least = LogLevel::info);
void log(LogLevel level, std::string_view text);

inline void log_debug(std::string_view text) { log(LogLevel::debug, text); }
inline void log_info(std::string_view text) { log(LogLevel::info, text); }
inline void log_warning(std::string_view text) { log(LogLevel::warning, text); }
inline void log_error(std::string_view text) { log(LogLevel::error, text); }

}  // namespace grl
