#include "coordinator/lines/run.h"

#include "coordinator/lines/words.h"
#include "grl/base/log.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"

namespace grl::coordinator {

using S = LineState;
using E = LineEvent;

LineRun::LineRun(const JobSetting& setting, std::uint32_t job, JobHooks hooks)
    : JobTableRun(line_table(), setting, job, std::move(hooks)), capture_(setting.capture) {}

void LineRun::act() {
    switch (state()) {
        case S::request:
            when_all(E::admitted);
            return admit();
        case S::prepare:
            when_all(E::all_prepared);  // or may_copy
            return prepare_all();
        case S::copy:
            when_all(E::all_copied);
            return copy();
        case S::drain:
            when_all(E::all_silent);
            return drain(deadlines_.drain_ms, deadlines_.silence_failsafe_ms);
        case S::freeze:
            when_all(E::all_frozen);
            return freeze({}, standing_s(deadlines_));
        case S::capture:
            when_all(E::all_captured);
            return capture();
        case S::release:
            when_all(order_.hosts.empty() ? E::went_on : E::all_released);
            return release();
        case S::images:
            record_.released();
            when_all(E::all_durable);
            return await_images();
        case S::manifest:
            when_all(E::manifest_written);
            return write_manifest();
        case S::undo:
            when_all(E::all_undone);
            return undo();
        case S::erase:
            when_all(E::all_undone);
            return erase();
        case S::discard:
            when_all(E::all_undone);
            return discard();
        case S::done:
        case S::aborted:
            return end();
    }
}

std::uint32_t standing_s(const Deadlines& d) {
    return static_cast<std::uint32_t>(
        (std::uint64_t{d.freeze_ms} + d.capture_ms + d.release_ms + 999) / 1000);
}

void LineRun::prepare_all() {
    prepare(capture_, [this](const LineHost& h, const PreparedLine& prepared) {
        if (!prepared.copies) return;
        copying_hosts_.insert(h.name);
        when_all(E::may_copy);
    });
}

void LineRun::copy() {
    for (const LineHost& h : order_.hosts) {
        if (copying_hosts_.count(h.name) == 0) continue;
        ask<Done>(key_of(h), h.channel, CopyLine{order_.id});
    }
}

void LineRun::end() {
    const bool done = state() == S::done;
    const bool committed = done && keeps_line();
    if (done && !committed) record_.released();
    if (committed) {
        log_info(text_of(order_.id) + " is committed");
    } else if (!done && order_.id.line != 0) {
        log_warning(text_of(order_.id) + " is aborted: " + reason());
    }
    finish(done, committed ? &manifest_ : nullptr);
}

Joining LineRun::joining() const {
    return before_cut(state()) ? Joining::this_line : Joining::next_line;
}

// Its images may be the ones to go back to, once they are on their way.
Yielding LineRun::yield(const std::string& why) {
    if (state() != S::images && state() != S::manifest) cancel(why);
    return Yielding::at_end;
}

Result<void> Rehearsal::shape(LineOrder& order, const JobFacts&) {
    order.hosts.clear();
    return {};
}

}  // namespace grl::coordinator
