// What is settled of a move before it begins.
#pragma once

#include <functional>
#include <string>

#include "coordinator/lines/record.h"

namespace grl::coordinator {

struct MoveOrder {
    std::uint32_t move = 0;  // its number
    std::string guest;
    std::string token;  // of its stream
    LineHost from, to;
    std::uint32_t limit_mib_s = 0;
    bool encrypted = false;
    std::string cause;
    // Writes down that it is given to the target; calls back when that is on disk.
    std::function<void(std::function<void(Result<void>)>)> note;
};

}  // namespace grl::coordinator
