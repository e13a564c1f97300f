// What every VMM's guest is: a definition, a state, devices of the host that are its own, and an
// end. QemuGuest and XenGuest derive from it; the drivers' table (guest_table.h) holds them.
//
// Threads: the io_context's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "grl/messages/phase.h"
#include "vmm_bridge/base/async.h"
#include "vmm_bridge/host/definitions.h"

namespace grl::bridge {

class HostedGuest {
  public:
    struct Handlers {
        std::function<void()> changed;
        std::function<void(const std::string& reason)> died;
    };

    HostedGuest(GuestDefinition definition, Handlers handlers);
    HostedGuest(const HostedGuest&) = delete;
    HostedGuest& operator=(const HostedGuest&) = delete;

    const GuestDefinition& definition() const { return definition_; }
    const std::string& digest() const { return digest_; }
    GuestState state() const { return state_; }
    void set_state(GuestState state);
    std::int64_t stopped_at_ns() const { return stopped_at_ns_; }

    // The passthrough devices that it may have, wherever they are: set before its start or its
    // loading, or when it was taken over.
    const std::vector<std::string>& own_devices() const { return devices_; }
    void set_devices(std::vector<std::string> devices) { devices_ = std::move(devices); }

  protected:
    ~HostedGuest() = default;
    Error error(const std::string& act, const std::string& why,
                ErrorKind kind = ErrorKind::failed) const;
    // True for the first who wants its end: the caller brings it about, and tells by end().
    bool join_ending(Callback<Done> done);
    bool ending() const { return ending_.has_value(); }
    void end(Result<Done> outcome);
    void tell_changed() const;
    void tell_death(const std::string& reason) const;

    const GuestDefinition definition_;
    std::int64_t stopped_at_ns_ = 0;

  private:
    const std::string digest_;
    Handlers handlers_;
    GuestState state_ = GuestState::absent;
    std::vector<std::string> devices_;
    std::optional<Act<Done>> ending_;
};

}  // namespace grl::bridge
