// The hosts as their bridges tell them: who is connected, which guests are where, what is lost.
//
// A bridge is *away* from the moment its connection ends, and *lost* when it has been away for
// bridge_lost_ms. A connection on which a bridge answers nothing for so long twice over is ended.
// Runs on the io_context's thread; does not block; owns the bridges' channels.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "coordinator/config.h"
#include "coordinator/engine/clock.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/wire/handshake.h"

namespace grl::coordinator {

struct Host {
    std::string name;
    std::string origin;                // the address its bridge proved itself from
    std::shared_ptr<Channel> channel;  // null: away
    Inventory inventory;               // the last; stays when the bridge is away
    bool reported = false;             // an inventory came on this connection
    bool lost = false;
    bool fenced = false;  // turned off since it was lost
    Steady::time_point away_since;
    Steady::time_point answered_at;

    bool connected() const { return channel && channel->is_open() && reported; }
};

// What may run on a host: nothing if it was fenced; unknown while it is away.
enum class HostCondition { connected, away, lost, fenced };

class Hosts {
  public:
    struct Handlers {
        std::function<void(const Host&)> connected;  // its first inventory of a connection is in
        std::function<void(const Host&)> changed;    // a later one
        std::function<void(const Host&, const Error& why)> away;
        std::function<void(const Host&, const GuestDied&)> guest_died;
        std::function<void(const Host&, const LineProgress&)> line_progress;
        std::function<void(const Host&, const GuestDurable&)> guest_durable;
        std::function<void(const Host&, const GuestFailed&)> guest_failed;
        std::function<void(const Host&, const MoveProgress&)> move_progress;
    };

    Hosts(asio::io_context& io, const Deadlines& deadlines);
    ~Hosts();
    void set_handlers(Handlers handlers) { handlers_ = std::move(handlers); }

    // A bridge that has proven itself; the channel is not started yet.
    void accept(std::shared_ptr<Channel> channel, const Peer& peer);
    void close(const Error& why);

    const std::map<std::string, Host>& all() const { return hosts_; }
    const Host* find(const std::string& name) const;
    std::vector<const Host*> connected() const;

    // Connected hosts on which the guest runs or something of it is: two during a move.
    std::vector<const Host*> hosts_of(const std::string& guest) const;
    static GuestState state_on(const Host& host, const std::string& guest);
    // Of these, where it lives: runs, starts or was stopped; no remnant of a move.
    std::vector<const Host*> homes_of(const std::string& guest) const;
    // The one host on which it runs, or why there is none ("guest g2 is on no connected host").
    Result<const Host*> home_of(const std::string& guest) const;
    // Hosts that are away or lost, not fenced, and had it running when they last spoke.
    std::set<std::string> may_run_on(const std::string& guest) const;
    // The guest as any connected host defines it; null: it is no known guest.
    const GuestInfo* definition_of(const std::string& guest) const;
    // Whether a guest has this address.
    bool is_guest_address(const std::string& address) const;

    // The checkpoint directory's id; empty: not known yet.
    void set_store(const std::string& id) { store_ = id; }
    const std::string& store() const { return store_; }
    bool sees_store(const Host& host) const {
        return !store_.empty() && host.inventory.store == store_;
    }
    // Connected hosts that see it: only they read, write and delete lines.
    std::vector<const Host*> with_store() const;
    // Why a host does not, in one line for operators; empty: it does.
    std::string store_fault(const Host& host) const;

    // A host that was never seen counts as away since this began, and as lost after four times
    // bridge_lost_ms.
    HostCondition condition(const std::string& host) const;
    // False: it is connected, so it is not off.
    bool mark_fenced(const std::string& host);

    // Guests that are being started, each on a host that may not have said so yet.
    void begin_start(const std::string& guest, const std::string& host) { starting_[guest] = host; }
    void end_start(const std::string& guest) { starting_.erase(guest); }
    const std::map<std::string, std::string>& starting() const { return starting_; }

  private:
    void take(const std::string& host, const std::string& type, const json::object& body);
    void inventory(Host& host, const json::object& body);
    void guest_died(Host& host, const json::object& body);
    void gone(const std::string& host, const Error& why);
    void watch();

    asio::io_context& io_;
    const Deadlines& deadlines_;
    Handlers handlers_;
    std::map<std::string, Host> hosts_;
    std::map<std::string, std::string> starting_;
    std::string store_;
    asio::steady_timer watch_;
    Steady::time_point began_ = Steady::now();
};

// Something of the guest is there.
bool holds_state(GuestState state);
// It lives there: runs, starts or was stopped.
bool is_here(GuestState state);

}  // namespace grl::coordinator
