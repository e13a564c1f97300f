#include "vmm_bridge/verbs.h"

#include <algorithm>
#include <array>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"

namespace grl::bridge {

namespace {

template <class Ask, class Reply, void (Bridge::*Act)(const Ask&, Callback<Reply>)>
constexpr Verb verb(When when) {
    return {Ask::kType, when,
            [](Bridge& bridge, const json::object& body, Callback<json::object> done) {
                Result<Ask> ask = from_json<Ask>(body, Ask::kType);
                if (!ask) return done(ask.error());
                (bridge.*Act)(*ask, [done = std::move(done)](Result<Reply> reply) {
                    if (!reply) return done(reply.error());
                    done(to_json(*reply).as_object());
                });
            }};
}

constexpr std::array kVerbs = {
    // Answered in this half, as it is this half that the coordinator depends on.
    verb<Heartbeat, Done, &Bridge::heartbeat>(When::always),
    verb<StartGuest, Done, &Bridge::start_guest>(When::always),
    verb<DestroyGuests, Done, &Bridge::destroy_guests>(When::always),
    verb<CheckRestore, VerifiedLine, &Bridge::check_restore>(When::always),
    verb<RestoreGuests, RestoredGuests, &Bridge::restore_guests>(When::always),
    verb<ResumeGuests, Done, &Bridge::resume_guests>(When::always),
    verb<PrepareLine, PreparedLine, &Bridge::prepare_line>(When::always),
    verb<CopyLine, Done, &Bridge::copy_line>(When::line_prepared),
    verb<FreezeLine, FrozenLine, &Bridge::freeze_line>(When::line_prepared),
    verb<CaptureLine, CapturedLine, &Bridge::capture_line>(When::line_frozen),
    verb<ResumeLine, Done, &Bridge::resume_line>(When::line_captured),
    verb<AbortLine, Done, &Bridge::abort_line>(When::always),
    verb<CommitLine, Done, &Bridge::commit_line>(When::always),
    verb<ReceiveGuest, Done, &Bridge::receive_guest>(When::always),
    verb<SendGuest, Precopied, &Bridge::send_guest>(When::always),
    verb<SwitchGuest, Switched, &Bridge::switch_guest>(When::always),
    verb<AwaitGuest, Done, &Bridge::await_guest>(When::always),
    verb<DropMove, Done, &Bridge::drop_move>(When::always),
    verb<ListLines, LineList, &Bridge::list_lines>(When::always),
    verb<VerifyLine, VerifiedLine, &Bridge::verify_line>(When::always),
    verb<DeleteLine, Done, &Bridge::delete_line>(When::always),
    verb<SweepLines, Done, &Bridge::sweep_lines>(When::always),
};

LinePart::State least(When when, const LinePart& part) {
    switch (when) {
        case When::always:
            return LinePart::State::preparing;
        case When::line_prepared:
            return LinePart::State::prepared;
        case When::line_frozen:
            return LinePart::State::frozen;
        case When::line_captured:
            return part.keeps_images() ? LinePart::State::captured : LinePart::State::frozen;
    }
    return LinePart::State::aborted;
}

struct OfLine {
    LineId id;
};
BOOST_DESCRIBE_STRUCT(OfLine, (), (id))

Result<void> allowed(const Bridge& bridge, const Verb& verb, const json::object& body) {
    if (verb.when == When::always) return {};
    Result<OfLine> of = from_json<OfLine>(body, std::string(verb.type));
    if (!of) return of.error();
    const auto part = bridge.part_of(of->id);
    std::string why;
    if (!part) {
        why = "the line is not under way on this host";
    } else if (part->state() >= LinePart::State::aborting) {
        why = "the line was aborted here: " + part->abort_reason();
    } else if (part->state() < least(verb.when, *part)) {
        why = "the line has not come so far on this host";
    } else {
        return {};
    }
    return fail(std::string(verb.type), "", why, ErrorKind::refused);
}

}  // namespace

std::span<const Verb> verbs() {
    return kVerbs;
}

void run_verb(Bridge& bridge, std::string_view type, const json::object& body,
              Callback<json::object> done) {
    auto verb =
        std::find_if(kVerbs.begin(), kVerbs.end(), [&](const Verb& v) { return v.type == type; });
    if (verb == kVerbs.end()) {
        return done(fail("taking a request", "", "there is no such verb", ErrorKind::protocol));
    }
    Result<void> may = allowed(bridge, *verb, body);
    if (!may) return done(may.error());
    verb->act(bridge, body, std::move(done));
}

}  // namespace grl::bridge
