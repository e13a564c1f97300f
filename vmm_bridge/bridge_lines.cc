// The verbs about one line, in the order in which they come.
#include <algorithm>

#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/base/clock.h"
#include "vmm_bridge/base/worker.h"
#include "vmm_bridge/bridge.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kKeptParts = 64;
constexpr std::uint64_t kBesidesMemory = 64U << 20;  // in a stream: device state, page headers

std::string label(LineId id) {
    return "line " + std::to_string(id.line) + " of job " + std::to_string(id.job);
}

}  // namespace

// ---- prepare ----

void Bridge::prepare_line(const PrepareLine& ask, Callback<PreparedLine> done) {
    auto refuse = [&](const std::string& why, ErrorKind kind) {
        done(fail("preparing " + label(ask.id), config_.bridge.host, why, kind));
    };
    if (ask.id.job == 0 || ask.id.line == 0) {
        return refuse("job and line count from 1", ErrorKind::usage);
    }
    if (ask.guests.empty()) return refuse("no guest is named", ErrorKind::usage);
    if (!is_capture(ask.capture) && ask.capture != kNoCapture) {
        return refuse("capture must be auto, background, live, stop_copy or none",
                      ErrorKind::usage);
    }
    if (auto part = part_of(ask.id); part && part->active()) {
        if (part->guests() != ask.guests) {
            return refuse("it is under way with other guests", ErrorKind::refused);
        }
        return part->prepare([part, done = std::move(done)](Result<Done> prepared) {
            if (!prepared) return done(prepared.error());
            done(PreparedLine{part->copies()});
        });
    }
    Result<void> known = check_guests(ask.guests);
    if (!known) return done(known.error());
    for (const auto& guest : ask.guests) {
        if (auto part = active_part_of(guest)) {
            return refuse("guest " + guest + " is in " + label(part->id()) + ", which is under way",
                          ErrorKind::refused);
        }
    }
    for (const auto& guest : ask.guests) {
        if (auto departure = departure_of(guest); departure && departure->active()) {
            return refuse("guest " + guest + " is on its way to another host", ErrorKind::refused);
        }
    }
    retire_parts(ask.id.job);
    auto part = std::make_shared<LinePart>(io_, *driver_, store_.expecting(ask.store.value_or("")),
                                           ask.id,
                                           LinePart::Events{events_.progress,
                                                            [this](const GuestDurable& durable) {
                                                                last_stored_bytes_[durable.guest] =
                                                                    durable.stored_bytes;
                                                                events_.durable(durable);
                                                            },
                                                            events_.failed});
    for (std::size_t i = 0; i < ask.guests.size(); ++i) {
        Result<void> added = add_guest(*part, ask, i);
        if (!added) return done(added.error());
    }
    parts_[{ask.id.job, ask.id.line}] = part;
    part->prepare([this, part, done = std::move(done)](Result<Done> prepared) {
        // A line that could not begin leaves nothing and blocks no other.
        if (prepared) return done(PreparedLine{part->copies()});
        if (!part->active()) return done(prepared.error());
        const Error why = prepared.error();
        part->abort(why.text(), [done, why](Result<Done>) { done(why); });
    });
}

Result<void> Bridge::add_guest(LinePart& part, const PrepareLine& ask, std::size_t index) {
    const std::string& guest = ask.guests[index];
    const auto views = driver_->list();
    const GuestView* view = view_of(views, guest);
    if (!view || view->state != GuestState::running) {
        return fail("preparing " + label(ask.id), config_.bridge.host,
                    "guest " + guest + " is " + name_of(view ? view->state : GuestState::absent),
                    ErrorKind::refused);
    }
    const GuestDefinition& d = view->definition;
    ImageHeader header{config_.cluster,     ask.id.job,      ask.id.line,        guest,
                       config_.bridge.host, driver_->name(), driver_->version(), view->digest,
                       d.memory_mib,        now_ns()};
    // What the VMM holds in memory; a live capture holds twice what is written meanwhile, but both
    // packed. The last image says what to expect.
    std::uint64_t bytes = std::min(d.memory_mib << 20, view->resident_bytes);
    if (auto last = last_stored_bytes_.find(guest); last != last_stored_bytes_.end()) {
        bytes = std::min(bytes, last->second + last->second / 3);
    }
    // The whole guest, if that can be: then the storage holds up no stream.
    MemoryBudget::Share memory;
    if (ask.capture != kNoCapture) {
        memory = budget_.take((d.memory_mib << 20) + kBesidesMemory, ask.guests.size() - index);
    }
    part.add({header, store_.image_path(ask.id, guest), ask.capture, config_.bridge.zstd_level,
              d.adapters > 0, std::move(memory), keep_stream_},
             bytes);
    return {};
}

// Parts that are over are kept for requests that come again, but not for ever.
void Bridge::retire_parts(std::uint32_t job) {
    std::erase_if(parts_, [&](const auto& entry) {
        return !entry.second->active() && (entry.first.first == job || parts_.size() > kKeptParts);
    });
}

// ---- copy to resume: verbs.cc has seen to it that the part is there and far enough ----

void Bridge::copy_line(const CopyLine& ask, Callback<Done> done) {
    part_of(ask.id)->copy(std::move(done));
}

void Bridge::freeze_line(const FreezeLine& ask, Callback<FrozenLine> done) {
    if (!ask.hold_s) {
        return part_of(ask.id)->freeze(std::chrono::seconds(ask.still_s.value_or(0)),
                                       std::move(done));
    }
    part_of(ask.id)->freeze(std::chrono::seconds(*ask.hold_s), after_inventory(std::move(done)));
}

void Bridge::capture_line(const CaptureLine& ask, Callback<CapturedLine> done) {
    part_of(ask.id)->capture(std::move(done));
}

void Bridge::resume_line(const ResumeLine& ask, Callback<Done> done) {
    part_of(ask.id)->resume(after_inventory(std::move(done)));
}

// ---- abort, commit ----

void Bridge::abort_line(const AbortLine& ask, Callback<Done> done) {
    auto part = part_of(ask.id);
    if (!part) return done(Done{});  // never begun, or of a bridge before this: swept later
    part->abort("the coordinator says so", after_inventory(std::move(done)));
}

void Bridge::commit_line(const CommitLine& ask, Callback<Done> done) {
    Result<Manifest> read = from_json<Manifest>(ask.manifest, "manifest");
    if (read) read = check_manifest(std::move(*read));
    if (!read) return done(read.error());
    if (read->job != ask.id.job || read->line != ask.id.line || read->cluster != config_.cluster) {
        return done(fail("committing " + label(ask.id), "", "the manifest is another line's",
                         ErrorKind::usage));
    }
    auto manifest = std::make_shared<Manifest>(std::move(*read));
    run_blocking<Done>(
        io_,
        [store = store_.expecting(ask.store.value_or("")), id = ask.id,
         manifest]() -> Result<Done> {
            Result<Manifest> there = store.read(id);
            if (there) {
                if (to_json(*there) == to_json(*manifest)) return Done{};
                return fail("committing " + label(id), store.path_of(id),
                            "it is committed already, with another manifest", ErrorKind::refused);
            }
            Result<void> committed = store.commit(id, *manifest);
            if (!committed) return committed.error();
            return Done{};
        },
        std::move(done));
}

}  // namespace grl::bridge
