// The verbs about the lines in the checkpoint directory.
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/base/worker.h"
#include "vmm_bridge/bridge.h"

namespace grl::bridge {

namespace {

Result<Done> done_or(const Result<void>& outcome) {
    if (!outcome) return outcome.error();
    return Done{};
}

}  // namespace

void Bridge::list_lines(const ListLines& ask, Callback<LineList> done) {
    run_blocking<LineList>(
        io_,
        [store = store_.expecting(ask.store.value_or("")), after = ask.after_job] {
            return store.list(after);
        },
        std::move(done));
}

void Bridge::verify_line(const VerifyLine& ask, Callback<VerifiedLine> done) {
    run_blocking<VerifiedLine>(
        io_, [store = store_, id = ask.id] { return store.verify(id); }, std::move(done));
}

void Bridge::delete_line(const DeleteLine& ask, Callback<Done> done) {
    if (auto part = part_of(ask.id); part && part->active()) {
        return done(
            fail("deleting a line", store_.path_of(ask.id), "it is under way", ErrorKind::refused));
    }
    run_blocking<Done>(
        io_,
        [store = store_.expecting(ask.store.value_or("")), id = ask.id] {
            return done_or(store.remove(id));
        },
        std::move(done));
}

void Bridge::sweep_lines(const SweepLines& ask, Callback<Done> done) {
    std::vector<LineId> keep = ask.active;
    for (const auto& [key, part] : parts_) {
        if (part->active()) keep.push_back(part->id());
    }
    run_blocking<Done>(
        io_,
        [store = store_.expecting(ask.store.value_or("")), keep] {
            return done_or(store.sweep(keep));
        },
        std::move(done));
}

}  // namespace grl::bridge
