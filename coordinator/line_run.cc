#include "coordinator/line_run.h"

#include <algorithm>

#include "grl/log.h"

namespace grl::coordinator {

namespace {

// What the other side's own deadline is allowed to be late by, so that its reason reaches us first.
constexpr Milliseconds kGrace{500};
constexpr Milliseconds kTellEvery{200};

std::string key_of(const LineHost& host) {
    return "host " + host.name;
}
std::string key_of(const LineMember& member) {
    return "node " + member.node;
}

std::string text_of(LineId id) {
    return "line " + std::to_string(id.job) + "/" + std::to_string(id.line);
}

}  // namespace

LineRun::LineRun(asio::io_context& io, std::uint32_t job, std::string cluster, std::string capture,
                 const Deadlines& deadlines, Hooks hooks)
    : io_(io),
      cluster_(std::move(cluster)),
      capture_(std::move(capture)),
      deadlines_(deadlines),
      hooks_(std::move(hooks)),
      record_(job),
      deadline_(io),
      tell_later_(io) {
    order_.id.job = job;
}

void LineRun::start() {
    firing_ = true;
    enter();
    firing_ = false;
    settle();
}

void LineRun::cancel(const std::string& reason) {
    fire(LineEvent::cancel, reason);
}

void LineRun::abandon() {
    ++epoch_;
    deadline_.cancel();
    tell_later_.cancel();
    hooks_ = {};
}

// ---- events ----

void LineRun::fire(LineEvent event, const std::string& reason) {
    fired_.emplace_back(event, reason);
    settle();
}

// An action may itself raise an event (nobody to ask, all images there): one at a time, in order.
void LineRun::settle() {
    if (firing_) return;
    const auto self = shared_from_this();
    firing_ = true;
    while (!fired_.empty()) {
        const auto [event, reason] = fired_.front();
        fired_.pop_front();
        if (machine_.take(event, reason)) enter();
    }
    firing_ = false;
}

void LineRun::enter() {
    ++epoch_;
    awaited_.clear();
    deadline_.cancel();
    const LineStateRow& row = line_state_row(machine_.state());
    if (!machine_.over()) record_.enter(row.phase);
    if (row.limit) {
        deadline_.expires_after(limit() + kGrace);
        deadline_.async_wait([weak = weak_from_this(),
                              epoch = epoch_](const boost::system::error_code& ec) {
            auto self = weak.lock();
            if (ec || !self || self->epoch_ != epoch) return;
            self->fire(LineEvent::timeout, name_of(self->machine_.state()) + " took longer than " +
                                               std::to_string(self->limit().count()) + " ms" +
                                               self->missing());
        });
    }
    act();
    if (!machine_.over()) tell();
}

void LineRun::act() {
    switch (machine_.state()) {
        case LineState::request:
            return admit();
        case LineState::prepare:
            return prepare();
        case LineState::drain:
            return drain();
        case LineState::freeze:
            return freeze();
        case LineState::capture:
            return capture();
        case LineState::release:
            return release();
        case LineState::images:
            return await_images();
        case LineState::manifest:
            return write_manifest();
        case LineState::undo:
            return undo();
        case LineState::erase:
            return erase();
        case LineState::discard:
            return discard();
        case LineState::done:
        case LineState::aborted:
            return end();
    }
}

// ---- the straight way ----

void LineRun::admit() {
    hooks_.admit([weak = weak_from_this(), epoch = epoch_](Result<LineOrder> order) {
        auto self = weak.lock();
        if (!self || self->epoch_ != epoch) return;
        if (!order) return self->fire(LineEvent::failed, order.error().why);
        self->order_ = std::move(*order);
        self->record_.admitted(self->order_);
        self->fire(LineEvent::admitted);
    });
}

void LineRun::prepare() {
    when_all_ = LineEvent::all_prepared;
    for (const LineHost& h : order_.hosts) {
        PrepareLine message{order_.id, {}, capture_};
        for (const GuestInfo& g : h.guests) message.guests.push_back(g.name);
        ask<Done>(key_of(h), h.channel, message, {});
    }
}

void LineRun::drain() {
    when_all_ = LineEvent::all_silent;
    const Drain message{order_.id.line, order_.attempt, deadlines_.drain_ms,
                        deadlines_.silence_failsafe_ms};
    for (const LineMember& m : order_.members) {
        ask<Silent>(key_of(m), m.channel, message, [this, node = m.node](const Silent& silent) {
            const Proof& p = silent.proof;
            if (silent.attempt != order_.attempt || p.issued != p.completed + p.deferred) {
                return fire(LineEvent::failed, "the proof of silence from " + node + " is off");
            }
            if (!record_.same_proof(p)) {
                return fire(LineEvent::failed,
                            "the proofs of silence of " + node + " and another node differ");
            }
            if (awaited_.size() == 1) record_.silent(p);
        });
    }
}

void LineRun::freeze() {
    when_all_ = LineEvent::all_frozen;
    for (const LineHost& h : order_.hosts) {
        ask<FrozenLine>(key_of(h), h.channel, FreezeLine{order_.id}, [this](const FrozenLine& f) {
            for (const GuestFrozen& g : f.guests) record_.frozen(g);
        });
    }
}

void LineRun::capture() {
    when_all_ = LineEvent::all_captured;
    for (const LineHost& h : order_.hosts) {
        ask<CapturedLine>(key_of(h), h.channel, CaptureLine{order_.id},
                          [this](const CapturedLine& c) {
                              for (const GuestCaptured& g : c.guests) record_.captured(g);
                          });
    }
}

void LineRun::release() {
    when_all_ = LineEvent::all_released;
    for (const LineMember& m : order_.members) awaited_.insert(key_of(m));
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, ResumeLine{order_.id}, [this, &h](const Done&) {
            resumed_hosts_.insert(h.name);
            for (const GuestInfo& g : h.guests) {
                record_.resumed(g.name);
                for (const LineMember& m : order_.members) {
                    if (m.node == g.name) release_member(m, false);
                }
            }
        });
    }
}

void LineRun::release_member(const LineMember& member, bool aborted) {
    Release message;
    message.line = order_.id.line;
    message.attempt = order_.attempt;
    message.generation = order_.generation;
    message.aborted = aborted;
    message.now_ns = wall_ns();
    ask<Done>(key_of(member), member.channel, message, {});
}

void LineRun::await_images() {
    record_.released();
    if (!image_fault_.empty()) return fire(LineEvent::image_failed, image_fault_);
    for (const LineHost& h : order_.hosts) {
        if (!h.channel->is_open() && !record_.durable_on(h)) {
            return fire(LineEvent::bridge_lost, "host " + h.name + " is away");
        }
    }
    if (record_.all_durable()) fire(LineEvent::all_durable);
}

void LineRun::write_manifest() {
    manifest_ = record_.manifest(order_, cluster_);
    if (auto checked = check_manifest(manifest_); !checked) {
        return fire(LineEvent::failed, checked.error().why);
    }
    hand_manifest(hooks_.bridges());
}

// Anyone can write it; if the one that was asked is lost, the next is asked for the same.
void LineRun::hand_manifest(std::vector<std::shared_ptr<Channel>> bridges) {
    if (bridges.empty()) return fire(LineEvent::failed, "no bridge is left to write the manifest");
    const auto bridge = bridges.back();
    bridges.pop_back();
    const CommitLine message{order_.id, to_json(manifest_).as_object()};
    bridge->request<Done>(message, limit(),
                          [self = shared_from_this(), epoch = epoch_, bridge,
                           bridges = std::move(bridges)](Result<Done> done) {
                              if (self->epoch_ != epoch) return;
                              if (done) return self->fire(LineEvent::manifest_written);
                              if (!bridge->is_open()) return self->hand_manifest(bridges);
                              self->fire(LineEvent::failed, done.error().text());
                          });
}

// ---- the ways back ----

void LineRun::undo() {
    when_all_ = LineEvent::all_undone;
    for (const LineHost& h : order_.hosts) {
        ask<Done>(key_of(h), h.channel, AbortLine{order_.id}, {});
    }
    for (const LineMember& m : order_.members) release_member(m, true);
}

void LineRun::erase() {
    const auto bridges = hooks_.bridges();
    if (bridges.empty()) return fire(LineEvent::all_undone);
    when_all_ = LineEvent::all_undone;
    ask<Done>(bridges.back()->name(), bridges.back(), DeleteLine{order_.id}, {});
}

void LineRun::discard() {
    when_all_ = LineEvent::all_undone;
    for (const LineHost& h : order_.hosts)
        ask<Done>(key_of(h), h.channel, AbortLine{order_.id}, {});
}

void LineRun::end() {
    const bool done = machine_.state() == LineState::done;
    record_.end(done ? Phase::done : Phase::aborted, machine_.reason());
    tell_later_.cancel();
    if (done) {
        log_info(text_of(order_.id) + " is committed");
    } else if (order_.id.line != 0) {
        log_warning(text_of(order_.id) + " is aborted: " + machine_.reason());
    }
    // Not from inside the machine: what follows may begin the job's next line.
    asio::post(io_, [self = shared_from_this(), done] {
        if (!self->hooks_.ended) return;
        self->hooks_.ended(self->record_.report(), done ? &self->manifest_ : nullptr);
    });
}

// ---- asking ----

template <class Reply, class Message>
void LineRun::ask(const std::string& who, const std::shared_ptr<Channel>& channel,
                  const Message& message, std::function<void(const Reply&)> take) {
    awaited_.insert(who);
    channel->request<Reply>(message, limit() + 2 * kGrace,
                            [self = shared_from_this(), epoch = epoch_, who, channel,
                             take = std::move(take)](Result<Reply> reply) {
                                if (self->epoch_ != epoch) return;
                                if (!reply) return self->refused(who, channel, reply.error());
                                if (take) take(*reply);
                                if (self->epoch_ == epoch) self->answered(who);
                            });
}

void LineRun::answered(const std::string& who) {
    awaited_.erase(who);
    if (awaited_.empty()) fire(when_all_);
}

void LineRun::refused(const std::string& who, const std::shared_ptr<Channel>& channel,
                      const Error& error) {
    const LineState state = machine_.state();
    if (state == LineState::undo || state == LineState::erase || state == LineState::discard) {
        log_warning("undoing " + text_of(order_.id) + ": " + who + ": " + error.text());
        return answered(who);
    }
    const bool is_member = std::any_of(order_.members.begin(), order_.members.end(),
                                       [&](const LineMember& m) { return key_of(m) == who; });
    const bool gone = !channel->is_open();
    // It comes back when its guest runs on, and is released then.
    if (gone && is_member && state == LineState::release) return;
    if (!gone) return fire(LineEvent::failed, who + ": " + error.text());
    fire(is_member && state == LineState::drain ? LineEvent::master_lost : LineEvent::bridge_lost,
         who + " is lost: " + error.why);
}

// ---- what happens meanwhile ----

void LineRun::bridge_away(const std::string& name, const std::string& why) {
    const LineHost* h = host(name);
    if (!h) return;
    if (machine_.state() == LineState::images && record_.durable_on(*h)) return;
    fire(LineEvent::bridge_lost, "host " + name + " is lost: " + why);
}

void LineRun::master_away(const std::string& node, const std::string& why) {
    for (const LineMember& m : order_.members) {
        if (m.node == node)
            fire(LineEvent::master_lost, "the master on " + node + " is lost: " + why);
    }
}

bool LineRun::master_back(const std::shared_ptr<Channel>& channel, const StepState& state) {
    if (state.step != order_.step || state.attempt != order_.attempt) return false;
    for (LineMember& m : order_.members) {
        if (m.node != state.node) continue;
        m.channel = channel;
        switch (machine_.state()) {
            case LineState::freeze:
            case LineState::capture:
                return true;  // its release is to come
            case LineState::release: {
                if (awaited_.count(key_of(m)) == 0) return true;
                if (state.closed) {
                    answered(key_of(m));
                } else if (host_resumed(m.node)) {
                    release_member(m, false);
                }
                return true;
            }
            case LineState::images:
            case LineState::manifest:
                if (!state.closed) release_member(m, false);
                return true;
            default:
                return false;
        }
    }
    return false;
}

void LineRun::guest_died(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    const LineState state = machine_.state();
    const std::string text = "guest " + guest + " died: " + reason;
    if (state == LineState::release) return fire(LineEvent::failed, text);
    image_failed(guest, text);
}

void LineRun::image_progress(const LineProgress& progress) {
    if (progress.id.line != order_.id.line) return;
    record_.progress(progress);
    if (std::exchange(telling_later_, true)) return;
    tell_later_.expires_after(kTellEvery);
    tell_later_.async_wait([weak = weak_from_this()](const boost::system::error_code& ec) {
        auto self = weak.lock();
        if (!self) return;
        self->telling_later_ = false;
        if (!ec && !self->machine_.over()) self->tell();
    });
}

void LineRun::image_durable(const GuestDurable& durable) {
    if (durable.id.line != order_.id.line) return;
    if (!record_.durable(durable)) {
        return image_failed(durable.guest, "its bridge reports no image");
    }
    if (machine_.state() != LineState::images) return;
    if (record_.all_durable()) return fire(LineEvent::all_durable);
    tell();
}

void LineRun::image_failed(const std::string& guest, const std::string& reason) {
    if (!has_guest(guest)) return;
    for (const GuestReport& g : record_.report().guests) {
        if (g.guest == guest && g.durable) return;  // what is on storage stays good
    }
    record_.failed(guest, reason);
    image_fault_ = "image of guest " + guest + ": " + reason;
    fire(LineEvent::image_failed, image_fault_);
}

void LineRun::tell() {
    if (hooks_.progress) hooks_.progress(record_.report());
}

// ---- small things ----

const LineHost* LineRun::host(const std::string& name) const {
    for (const LineHost& h : order_.hosts) {
        if (h.name == name) return &h;
    }
    return nullptr;
}

bool LineRun::has_guest(const std::string& name) const {
    const auto& guests = record_.report().guests;
    return std::any_of(guests.begin(), guests.end(),
                       [&](const GuestReport& g) { return g.guest == name; });
}

bool LineRun::host_resumed(const std::string& guest) const {
    for (const LineHost& h : order_.hosts) {
        for (const GuestInfo& g : h.guests) {
            if (g.name == guest) return resumed_hosts_.count(h.name) != 0;
        }
    }
    return false;
}

Milliseconds LineRun::limit() const {
    const LineStateRow& row = line_state_row(machine_.state());
    return Milliseconds(row.limit ? deadlines_.*row.limit : 0);
}

std::string LineRun::missing() const {
    std::string list;
    for (const std::string& who : awaited_) list += (list.empty() ? "" : ", ") + who;
    return list.empty() ? "" : ": no answer from " + list;
}

}  // namespace grl::coordinator
