// Runs a program of the site's: by its path, with its arguments, no shell. Its output goes to our
// standard error. Does not block; `done` comes once, on the io_context's thread: nothing if it
// ended with 0, else why not. Past `limit` its process group is killed.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "grl/base/result.h"

namespace grl::coordinator {

void run_program(boost::asio::io_context& io, const std::vector<std::string>& command,
                 std::chrono::milliseconds limit, std::function<void(Result<void>)> done);

}  // namespace grl::coordinator
