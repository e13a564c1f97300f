// The one account of what hosts have room for: what their bridges say is free, less what restores and
// moves have taken for guests that are not there yet, and which hosts are closed for service. Whoever
// is about to bring a guest to a host asks here and takes its seat before anything is sent.
//
// A seat counts until its guest is in the host's inventory, which counts it from then on, and again
// when it is gone from there: a restore destroys a guest where it then loads it. No I/O; one thread.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/cluster/hosts.h"
#include "coordinator/cluster/placement.h"

namespace grl::coordinator {

class Room {
  public:
    explicit Room(const Hosts& hosts) : hosts_(hosts) {}

    // What connected hosts offer to `owner` when the guests in `leaving` are gone.
    std::vector<PlacementHost> offers(const std::string& owner,
                                      const std::set<std::string>& leaving) const;

    // Seats for these guests (guest → host), as large as their hosts define them; in place of all
    // that the owner had. They are its own until free().
    void take(const std::string& owner, std::map<std::string, std::string> seats) {
        seats_[owner] = std::move(seats);
    }
    void free(const std::string& owner) { seats_.erase(owner); }

    // A closed host gets no guest that is not there already.
    void close(const std::string& host) { closed_.insert(host); }
    bool open(const std::string& host) { return closed_.erase(host) != 0; }
    bool is_closed(const std::string& host) const { return closed_.count(host) != 0; }

  private:
    const Hosts& hosts_;
    std::map<std::string, std::map<std::string, std::string>> seats_;  // owner → guest → host
    std::set<std::string> closed_;
};

}  // namespace grl::coordinator
