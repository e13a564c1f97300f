// What grlctl status shows, gathered.
#pragma once

#include <map>

#include "coordinator/restore/restores.h"
#include "grl/messages/reports.h"

namespace grl::coordinator {

StatusReport status_report(const Parts& parts, const Lines& lines, const Restores& restores,
                           const std::map<std::uint32_t, LastLine>& last_lines);

}  // namespace grl::coordinator
