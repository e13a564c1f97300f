#include "coordinator/lines/capture_base.h"

#include <algorithm>

#include "coordinator/lines/words.h"
#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/opening.h"
#include "grl/messages/stored.h"

namespace grl::coordinator {

CaptureBase::CaptureBase(const JobSetting& setting, std::uint32_t job, JobHooks hooks)
    : JobBase(setting, job, std::move(hooks)), cluster_(setting.cluster) {}

// ---- the straight way ----

void CaptureBase::prepare(const std::string& capture,
                          std::function<void(const LineHost&, const PreparedLine&)> take) {
    for (const LineHost& h : order_.hosts) {
        PrepareLine message{order_.id, {}, capture, capture == kNoCapture ? "" : order_.store};
        for (const GuestInfo& g : h.guests) message.guests.push_back(g.name);
        ask<PreparedLine>(key_of(h), h.channel, message, [&h, take](const PreparedLine& p) {
            if (take) take(h, p);
        });
    }
    all_asked();
}

void CaptureBase::freeze(std::optional<std::uint32_t> hold_s,
                         std::optional<std::uint32_t> still_s) {
    for (const LineHost& h : order_.hosts) {
        ask<FrozenLine>(key_of(h), h.channel, FreezeLine{order_.id, hold_s, still_s},
                        [this](const FrozenLine& f) {
                            for (const GuestFrozen& g : f.guests) record_.frozen(g);
                        });
    }
    all_asked();
}

void CaptureBase::capture() {
    for (const LineHost& h : order_.hosts) {
        ask<CapturedLine>(key_of(h), h.channel, CaptureLine{order_.id},
                          [this](const CapturedLine& c) {
                              for (const GuestCaptured& g : c.guests) record_.captured(g);
                          });
    }
    all_asked();
}

void CaptureBase::release() {
    if (order_.hosts.empty()) return release_all(false);
    for (const LineMember& m : order_.members) await(key_of(m));
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, ResumeLine{order_.id},
                  [this, &h](const Done&) { resumed(h); });
    }
}

void CaptureBase::resumed(const LineHost& host) {
    resumed_hosts_.insert(host.name);
    for (const GuestInfo& g : host.guests) {
        record_.resumed(g.name);
        for (const LineMember& m : order_.members) {
            if (m.node == g.name) release_member(m, false);
        }
    }
}

void CaptureBase::await_images() {
    if (!image_fault_.empty()) return image_lost(image_fault_);
    for (const LineHost& h : order_.hosts) {
        if (!h.channel->is_open() && !record_.durable_on(h)) {
            return bridge_lost("host " + h.name + " is away");
        }
    }
    if (record_.all_durable()) all_answered();
}

void CaptureBase::write_manifest() {
    manifest_ = record_.manifest(order_, cluster_);
    if (auto checked = check_manifest(manifest_); !checked) return failed(checked.error().why);
    hand_manifest(writers());
}

// Last in the list, so first asked: the line's own hosts, which see what they have written. Any
// other that sees the checkpoint directory will do when these are gone.
std::vector<std::shared_ptr<Channel>> CaptureBase::writers() const {
    std::vector<std::shared_ptr<Channel>> list = hooks_.bridges();
    for (const LineHost& h : order_.hosts) {
        std::erase(list, h.channel);
        if (h.channel->is_open()) list.push_back(h.channel);
    }
    return list;
}

// If the one that was asked is lost, the next is asked for the same.
void CaptureBase::hand_manifest(std::vector<std::shared_ptr<Channel>> bridges) {
    if (bridges.empty()) return failed("no bridge is left to write the manifest");
    const auto bridge = bridges.back();
    bridges.pop_back();
    const CommitLine message{order_.id, to_json(manifest_).as_object(), order_.store};
    bridge->request<Done>(
        message, limit(),
        here([this, bridge, bridges = std::move(bridges)](const Result<Done>& done) {
            if (done) return all_answered();
            if (!bridge->is_open()) return hand_manifest(bridges);
            failed(done.error().text());
        }));
}

// ---- the ways back ----

void CaptureBase::undo() {
    abort_bridges();
    release_all(true);
}

void CaptureBase::abort_bridges() {
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, AbortLine{order_.id});
    }
}

void CaptureBase::erase() {
    const auto bridges = writers();
    if (bridges.empty()) return all_answered();
    ask<Done>(bridges.back()->name(), bridges.back(), DeleteLine{order_.id, order_.store});
}

void CaptureBase::discard() {
    abort_bridges();
    all_asked();
}

// ---- what it hears ----

void CaptureBase::bridge_away(const std::string& name, const std::string& why) {
    const LineHost* h = host(name);
    if (!h || (storing() && record_.durable_on(*h))) return;
    bridge_lost("host " + name + " is lost: " + why);
}

void CaptureBase::guest_died(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    const std::string text = "guest " + guest + " died: " + reason;
    gates() == Gates::opening ? failed(text) : image_failed(guest, text);
}

void CaptureBase::image_progress(const LineProgress& progress) {
    if (progress.id.line != order_.id.line) return;
    record_.progress(progress);
    tell_later();
}

void CaptureBase::image_durable(const GuestDurable& durable) {
    if (durable.id.line != order_.id.line) return;
    if (!record_.durable(durable)) {
        return image_failed(durable.guest, "its bridge reports no image");
    }
    if (!storing()) return;
    if (record_.all_durable()) return all_answered();
    tell();
}

void CaptureBase::image_failed(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    for (const GuestReport& g : record_.report().guests) {
        if (g.guest == guest && g.durable) return;  // what is on storage stays good
    }
    record_.failed(guest, reason);
    image_fault_ = "image of guest " + guest + ": " + reason;
    image_lost(image_fault_);
}

// ---- small things ----

const LineHost* CaptureBase::host(const std::string& name) const {
    for (const LineHost& h : order_.hosts) {
        if (h.name == name) return &h;
    }
    return nullptr;
}

bool CaptureBase::has_guest(const std::string& name) const {
    return std::ranges::any_of(record_.report().guests,
                               [&](const GuestReport& g) { return g.guest == name; });
}

bool CaptureBase::may_release(const LineMember& member) const {
    for (const LineHost& h : order_.hosts) {
        for (const GuestInfo& g : h.guests) {
            if (g.name == member.node) return resumed_hosts_.count(h.name) != 0;
        }
    }
    return order_.hosts.empty();
}

}  // namespace grl::coordinator
