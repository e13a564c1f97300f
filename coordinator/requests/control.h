// What grlctl asks for: one function a verb. Anyone may look; a job's owner or root may checkpoint,
// hold, restore, verify and delete; root starts and stops guests and fences hosts. uids are MUNGE's
// word.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/hold/holds.h"
#include "coordinator/move/moves.h"
#include "coordinator/restore/restores.h"
#include "grl/messages/lines.h"
#include "grl/messages/questions.h"

namespace grl::coordinator {

class Control {
  public:
    Control(Parts parts, Lines& lines, Holds& holds, Restores& restores, Moves& moves);
    void accept(std::shared_ptr<Channel> channel, const Peer& peer);

  private:
    // Kept until the answer is there; tells the asker each second that it is being worked on.
    using Asker = std::shared_ptr<Channel::Responder>;
    using Verb = void (Control::*)(const Peer&, const json::object&, Asker);
    static const std::map<std::string, Verb>& verbs();

    void status(const Peer& peer, const json::object& body, Asker asker);
    void checkpoint(const Peer& peer, const json::object& body, Asker asker);
    void hold(const Peer& peer, const json::object& body, Asker asker);
    void let_go(const Peer& peer, const json::object& body, Asker asker);
    void list(const Peer& peer, const json::object& body, Asker asker);
    void show(const Peer& peer, const json::object& body, Asker asker);
    void restore(const Peer& peer, const json::object& body, Asker asker);
    void verify(const Peer& peer, const json::object& body, Asker asker);
    void remove(const Peer& peer, const json::object& body, Asker asker);
    void start(const Peer& peer, const json::object& body, Asker asker);
    void stop(const Peer& peer, const json::object& body, Asker asker);
    void fence(const Peer& peer, const json::object& body, Asker asker);
    void migrate(const Peer& peer, const json::object& body, Asker asker);
    void evacuate(const Peer& peer, const json::object& body, Asker asker);
    void reopen(const Peer& peer, const json::object& body, Asker asker);
    void history(const Peer& peer, const json::object& body, Asker asker);

    // The line's manifest, if the peer may touch it; then the bridge that is to do it.
    void with_line(const Peer& peer, LineId id, Asker asker,
                   std::function<void(const std::shared_ptr<Channel>& bridge)> then);
    // Whether the peer may stop and start the job; else the asker is told.
    bool may_line(const Peer& peer, std::uint32_t job, const Asker& asker) const;
    // Why no second one may be started now; nothing: there is none.
    struct Suspects {
        bool known = false;           // the catalog knows where guests were
        std::set<std::string> hosts;  // that may run it, as far as the catalog knows
    };
    std::optional<Error> start_obstacle(const StartQuery& question,
                                        const Suspects& by_catalog) const;
    void begin_start(const StartQuery& question, Asker asker);
    void beat();

    Parts parts_;
    Lines& lines_;
    Holds& holds_;
    Restores& restores_;
    Moves& moves_;
    std::vector<std::weak_ptr<Channel::Responder>> waiting_;
    asio::steady_timer beat_;
};

}  // namespace grl::coordinator
