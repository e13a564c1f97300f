#include "vmm_bridge/halves/relay.h"

#include <algorithm>
#include <array>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"

namespace grl::bridge {

namespace {

constexpr std::array kRequests = std::to_array<std::string_view>({
    Heartbeat::kType,    StartGuest::kType,  DestroyGuests::kType, RestoreGuests::kType,
    ResumeGuests::kType, PrepareLine::kType, CopyLine::kType,      FreezeLine::kType,
    CaptureLine::kType,  ResumeLine::kType,  AbortLine::kType,     CommitLine::kType,
    ReceiveGuest::kType, SendGuest::kType,   SwitchGuest::kType,   AwaitGuest::kType,
    DropMove::kType,     ListLines::kType,   VerifyLine::kType,    DeleteLine::kType,
    SweepLines::kType,   CheckRestore::kType,
});

struct Event {
    std::string_view type;
    Result<void> (*relay)(Channel&, const json::object&);
};

template <class Message>
constexpr Event event() {
    return {Message::kType, [](Channel& coordinator, const json::object& body) -> Result<void> {
                Result<Message> message = from_json<Message>(body, Message::kType);
                if (!message) return message.error();
                coordinator.send(*message);
                return {};
            }};
}

constexpr std::array kEvents = {event<Inventory>(),    event<GuestDied>(),   event<LineProgress>(),
                                event<GuestDurable>(), event<GuestFailed>(), event<MoveProgress>()};

}  // namespace

bool relayed_request(std::string_view type) {
    return std::find(kRequests.begin(), kRequests.end(), type) != kRequests.end();
}

Result<void> relay_event(Channel& coordinator, std::string_view type, const json::object& body) {
    for (const auto& known : kEvents) {
        if (known.type == type) return known.relay(coordinator, body);
    }
    return fail("relaying an event", "", "\"" + std::string(type) + "\" may not pass",
                ErrorKind::protocol);
}

}  // namespace grl::bridge
