// What is written down about a line while it runs: phases and their times, bytes and times of each
// guest, the proof of silence. Becomes its report and its manifest. Pure but for the clock.
#pragma once

#include <map>
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
    std::string store_fault = {};   // why no line is kept from there; empty: one can be
};

struct LineMember {
    std::string node;
    std::shared_ptr<Channel> channel;
};

// Who takes part in a line or another run of the job, settled when it is admitted.
struct LineOrder {
    LineId id;
    std::uint32_t step = 0;
    std::uint32_t uid = 0;
    std::uint32_t generation = 0;
    std::uint32_t attempt = 0;
    std::uint32_t every_s = 0;
    std::string store = {};       // the checkpoint directory's id
    JobLife life;
    std::vector<LineHost> hosts;  // that capture or stop guests
    std::vector<LineMember> members;
};

// Why nothing of it would be kept: a host does not see the checkpoint directory.
Result<void> can_be_kept(const LineOrder& order);

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
