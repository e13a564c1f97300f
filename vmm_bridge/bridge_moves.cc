// The verbs about one guest's move, in the order in which they come.
#include <algorithm>

#include "grl/base/log.h"
#include "grl/messages/manifest.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"
#include "vmm_bridge/bridge.h"

namespace grl::bridge {

namespace {

constexpr std::size_t kEarlyStreams = 8;

Error refusal(const std::string& act, const std::string& host, const std::string& why) {
    return fail(act, host, why, ErrorKind::refused);
}

template <class Moves>
auto by_guest(const Moves& moves, const std::string& guest) -> typename Moves::mapped_type {
    for (const auto& [move, one] : moves) {
        if (one->guest() == guest) return one;
    }
    return nullptr;
}

}  // namespace

std::shared_ptr<GuestDeparture> Bridge::departure_of(const std::string& guest) const {
    return by_guest(departures_, guest);
}

std::shared_ptr<GuestArrival> Bridge::arrival_of(const std::string& guest) const {
    return by_guest(arrivals_, guest);
}

// ---- the target ----

void Bridge::receive_guest(const ReceiveGuest& ask, Callback<Done> done) {
    const std::string act = "receiving guest " + ask.guest;
    auto refuse = [&](const std::string& why) { done(refusal(act, config_.bridge.host, why)); };
    if (ask.move == 0 || !valid_name(ask.token)) return refuse("a move and its token are wanted");
    sweep_moves();
    if (auto at = arrivals_.find(ask.move); at != arrivals_.end()) {
        if (at->second->guest() == ask.guest && at->second->token() == ask.token) {
            return done(Done{});
        }
        return refuse("the move is known, but not so");
    }
    Result<void> known = check_guests({ask.guest});
    if (!known) return done(known.error());
    Result<GuestDefinition> definition = definition_of(ask.guest);
    if (!definition) return done(definition.error());
    const auto views = driver_->list();
    if (const GuestView* view = view_of(views, ask.guest);
        (view && view->state != GuestState::lost) || arrival_of(ask.guest)) {
        return refuse("it is here" + (view ? ", " + name_of(view->state) : std::string()));
    }
    if (Result<void> room = driver_->check_room(*definition); !room)
        return refuse(room.error().why);
    if (definition->memory_mib > memory_free_mib()) {
        return refuse(std::to_string(definition->memory_mib) + " MiB of memory are wanted, " +
                      std::to_string(memory_free_mib()) + " are free");
    }
    arrivals_[ask.move] =
        std::make_shared<GuestArrival>(io_, *driver_, ask, std::move(*definition));
    done(Done{});
}

void Bridge::await_guest(const AwaitGuest& ask, Callback<Done> done) {
    auto at = arrivals_.find(ask.move);
    if (at == arrivals_.end()) {
        return done(
            refusal("receiving a guest", config_.bridge.host, "the move is not known here"));
    }
    at->second->await(std::move(done));
}

// ---- the source ----

void Bridge::send_guest(const SendGuest& ask, Callback<Precopied> done) {
    const std::string act = "sending guest " + ask.guest;
    auto refuse = [&](const std::string& why) { done(refusal(act, config_.bridge.host, why)); };
    if (ask.move == 0 || !valid_name(ask.token)) return refuse("a move and its token are wanted");
    sweep_moves();
    if (auto at = departures_.find(ask.move); at != departures_.end()) {
        if (at->second->guest() == ask.guest) return at->second->await_copied(std::move(done));
        return refuse("the move is another guest's");
    }
    Result<void> known = check_guests({ask.guest});
    if (!known) return done(known.error());
    const auto views = driver_->list();
    const GuestView* view = view_of(views, ask.guest);
    if (!view || view->state != GuestState::running) {
        return refuse("it is " + name_of(view ? view->state : GuestState::absent));
    }
    if (auto part = active_part_of(ask.guest)) {
        return refuse("it is in line " + std::to_string(part->id().line) + " of job " +
                      std::to_string(part->id().job) + ", which is under way");
    }
    if (departure_of(ask.guest)) return refuse("it is being sent already");
    auto departure =
        std::make_shared<GuestDeparture>(io_, *driver_, ask, [this](const MoveProgress& news) {
            if (events_.move_progress) events_.move_progress(news);
        });
    departures_[ask.move] = departure;
    departure->await_copied(
        [this, weak = std::weak_ptr(departure), move = ask.move, done](Result<Precopied> copied) {
            auto failed = copied ? nullptr : weak.lock();
            if (!failed) return done(std::move(copied));
            // Told when it runs again.
            failed->drop("it failed", [this, move, done, why = copied.error()](Result<Done>) {
                departures_.erase(move);
                done(why);
            });
        });
    if (auto stream = streams_.extract(ask.token)) departure->start(std::move(stream.mapped()));
}

void Bridge::switch_guest(const SwitchGuest& ask, Callback<Switched> done) {
    auto at = departures_.find(ask.move);
    if (at == departures_.end()) {
        return done(refusal("sending a guest", config_.bridge.host, "the move is not known here"));
    }
    at->second->switch_over(std::move(done));
}

// ---- both ----

// A stream may come before the order that it belongs to: they take different ways.
void Bridge::stream_opened(const std::string& token, OpenedStream stream) {
    for (const auto& [move, arrival] : arrivals_) {
        if (arrival->token() == token) return arrival->start(std::move(stream));
    }
    for (const auto& [move, departure] : departures_) {
        if (departure->token() == token) return departure->start(std::move(stream));
    }
    if (streams_.size() >= kEarlyStreams) streams_.erase(streams_.begin());
    streams_[token] = std::move(stream);
}

void Bridge::drop_move(const DropMove& ask, Callback<Done> done) {
    if (auto at = arrivals_.find(ask.move); at != arrivals_.end()) {
        auto arrival = at->second;
        // Told to run here: then it is here, whatever else was said.
        const auto views = driver_->list();
        if (const GuestView* view = view_of(views, arrival->guest());
            view && view->state == GuestState::running) {
            return done(refusal("dropping a move", config_.bridge.host, "the guest runs here"));
        }
        return arrival->drop("the coordinator says so",
                             [this, move = ask.move, done](Result<Done> dropped) {
                                 if (dropped) arrivals_.erase(move);
                                 send_inventory();
                                 done(std::move(dropped));
                             });
    }
    auto at = departures_.find(ask.move);
    if (at == departures_.end()) return done(Done{});
    auto departure = at->second;
    asio::post(io_, [this] { send_inventory(); });  // it will run here
    departure->drop("the coordinator says so", [this, move = ask.move, done](Result<Done> dropped) {
        if (dropped) departures_.erase(move);
        send_inventory();
        done(std::move(dropped));
    });
}

// What has arrived or moved is left: who may run is the coordinator's word alone.
void Bridge::drop_moves(const std::string& reason) {
    const auto arrivals = arrivals_;
    for (const auto& [move, arrival] : arrivals) {
        if (arrival->state() == GuestArrival::State::arrived) continue;
        arrival->drop(reason, [this, move = move](Result<Done>) { arrivals_.erase(move); });
    }
    const auto departures = departures_;
    for (const auto& [move, departure] : departures) {
        if (departure->state() == GuestDeparture::State::switching ||
            departure->state() == GuestDeparture::State::moved) {
            continue;
        }
        departure->drop(reason, [this, move = move](Result<Done>) { departures_.erase(move); });
    }
}

// Those that ended by themselves.
void Bridge::sweep_moves() {
    std::erase_if(arrivals_, [](const auto& a) { return a.second->gone(); });
    std::erase_if(departures_, [](const auto& d) {
        return d.second->state() == GuestDeparture::State::dropped;
    });
}

void Bridge::forget_moves(const std::vector<std::string>& guests) {
    auto is_one = [&](const auto& entry) {
        return std::find(guests.begin(), guests.end(), entry.second->guest()) != guests.end();
    };
    std::erase_if(departures_, is_one);
    std::erase_if(arrivals_, is_one);
}

}  // namespace grl::bridge
