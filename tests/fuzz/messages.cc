// Every message and report: the first byte says which, the rest is its body. What is taken can be written and is
// then taken again, and written alike.
#include <boost/mp11.hpp>

#include "grl/base/json.h"
#include "grl/messages/check.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/masters.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/questions.h"
#include "grl/messages/reports.h"
#include "grl/messages/stored.h"
#include "tests/fuzz/input.h"

namespace grl {

// clang-format off
using All = boost::mp11::mp_list<
    CheckStep, Inventory, GuestDied, StartGuest, DestroyGuests, ResumeGuests, PrepareLine, PreparedLine, CopyLine,
    FreezeLine, FrozenLine, CaptureLine, CapturedLine, ResumeLine, LineProgress, GuestDurable, GuestFailed, AbortLine,
    CommitLine, StepState, Start, Drain, Silent, Release, ReceiveGuest, Receiving, SendGuest, Precopied, SwitchGuest,
    Switched, AwaitGuest, DropMove, MoveProgress, Challenge, Hello, Welcome, Done, Heartbeat, StatusQuery,
    CheckpointJob, HoldJob, LetGoJob, MoveQuery, EvacuateQuery, ReopenQuery, StartQuery, StopQuery, HistoryQuery, ListQuery, ShowQuery,
    RestoreJob, VerifyQuery, DeleteQuery, LineReport, MoveReport, MoveReports, HeldJob,
    LineReports, ShownLine, RestoreReport, StatusReport, ListLines, LineList, VerifyLine, VerifiedLine, DeleteLine,
    SweepLines, RestoreGuests, RestoredGuests>;
// clang-format on

template <class Message>
void take(const json::value& body) {
    auto message = from_json<Message>(body, Message::kType);
    if (!message) return;
    const json::value written = to_json(*message);
    auto again = from_json<Message>(written, Message::kType);
    fuzz::must(again && to_json(*again) == written);
}

}  // namespace grl

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size == 0) return 0;
    boost::system::error_code ec;
    const auto body = boost::json::parse(grl::fuzz::text_of(bytes + 1, size - 1), ec);
    if (ec) return 0;
    constexpr std::size_t count = boost::mp11::mp_size<grl::All>::value;
    boost::mp11::mp_with_index<count>(bytes[0] % count, [&](auto i) {
        grl::take<boost::mp11::mp_at_c<grl::All, i>>(body);
    });
    return 0;
}
