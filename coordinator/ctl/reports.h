// What grlctl prints: reports as tables. Pure.
#pragma once

#include <string>

#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

std::string status_text(const StatusReport& report);
std::string list_text(const LineReports& reports);
std::string show_text(const ShownLine& shown);
std::string line_text(const LineReport& report);  // how a line that was asked for went
std::string held_text(const HeldJob& held);
std::string went_on_text(const LineReport& report);    // after a hold
std::string rehearsal_text(const LineReport& report);  // in one line
std::string restore_text(const RestoreReport& report);
std::string verify_text(LineId id, const VerifiedLine& verified);

std::string move_text(const MoveReport& report);
std::string evacuation_text(const std::string& host, const MoveReports& reports);
std::string history_text(const MoveReports& reports);

}  // namespace grl::coordinator
