// Shows a line or a restore while it goes: on a terminal a few lines that are redrawn, elsewhere
// one plain line for each phase that begins.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "grl/messages/reports.h"


namespace grl::coordinator {

class ProgressView {
  public:
    // Writes to standard output.
    explicit ProgressView(bool terminal) : terminal_(terminal) {}
    void show(const LineReport& report);
    void show(const RestoreReport& report);
    void show(const MoveReport& report);  // of several, too: each has a row
    void clear();                         // what was drawn goes; before the final words

  private:
    void draw(const std::vector<std::string>& lines);
    void plain(const std::string& subject, const std::string& phase);

    bool terminal_;
    std::size_t drawn_ = 0;
    std::string last_phase_;
    std::map<std::uint32_t, MoveReport> moves_;
};

}  // namespace grl::coordinator
