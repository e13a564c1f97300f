// What is written down about a line while it runs: phases and their times, bytes and times of each
// guest, the proof of silence. Becomes its report and its manifest. Pure but for the clock.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/engine/clock.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/manifest.h"
#include "grl/messages/masters.h"
#include "grl/messages/reports.h"
#include "grl/wire/channel.h"

namespace grl::coordinator {

struct LineHost {
    std::string name;
    std::shared_ptr<Channel> channel;
    std::string driver;
    std::string vmm_version;
    std::vector<GuestInfo> guests;  // of the line, on this host
};

struct LineMember {
    std::string node;
    std::shared_ptr<Channel> channel;
};

enum class LineKind {
    line,
    rehearsal,  // silence and on, without bridges
    hold,       // guests stand still for a while
    move,       // a guest goes to another host
};

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
    std::string undrained;  // why the job on it is not brought to silence; empty: it is, if any
};

// Who takes part in a line, settled when it is admitted.
struct LineOrder {
    LineId id;
    std::uint32_t step = 0;
    std::uint32_t uid = 0;
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;
    std::uint32_t every_s = 0;
    LineKind kind = LineKind::line;
    std::uint32_t hold_s = 0;            // of a hold
    bool keeps_line = false;             // likewise: a line is committed first
    std::uint32_t slurmd_timeout_s = 0;  // likewise
    std::optional<MoveOrder> move;       // likewise
    std::vector<LineHost> hosts;         // that capture or stop guests
    std::vector<LineMember> members;
};

class LineRecord {
  public:
    explicit LineRecord(std::uint32_t job);

    void admitted(const LineOrder& order);
    void enter(Phase phase);  // ends the one before; the same one again changes nothing
    void end(Phase phase, const std::string& reason);  // done or aborted

    // A node's proof, added to the line's; false if it is of another number of ranks.
    bool node_silent(const Silent& silent);
    void silent();    // the last master's word: the pause begins
    void released();  // the last gate is open: the pause ends

    void frozen(const GuestFrozen& guest);
    void captured(const GuestCaptured& guest);
    void resumed(const std::string& guest);
    void progress(const LineProgress& progress);
    // False if it is no guest of this line or its digest is none.
    bool durable(const GuestDurable& guest);
    void failed(const std::string& guest, const std::string& reason);

    bool all_durable() const;
    bool durable_on(const LineHost& host) const;

    const LineReport& report() const { return report_; }
    Manifest manifest(const LineOrder& order, const std::string& cluster) const;

  private:
    struct Clocks {
        Steady::time_point stopped;
        bool is_stopped = false;
    };
    GuestReport* guest(const std::string& name);

    LineReport report_;
    std::map<std::string, ManifestGuest> images_;
    std::map<std::string, Clocks> clocks_;
    bool proven_ = false;
    Steady::time_point phase_began_;
    Steady::time_point silent_at_;
    Steady::time_point released_at_;
};

}  // namespace grl::coordinator
