#include "vmm_bridge/move/arrival.h"

#include "grl/base/log.h"
#include "grl/messages/moves.h"
#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr std::chrono::seconds kArrivalLimit{30};

}  // namespace

GuestArrival::GuestArrival(asio::io_context& io, Driver& driver, ReceiveGuest order,
                           GuestDefinition guest)
    : driver_(driver), order_(std::move(order)), definition_(std::move(guest)), timer_(io) {
    timer_.expires_after(kArrivalLimit);
    timer_.async_wait([this](boost::system::error_code ec) {
        if (!ec && state_ == State::waiting) {
            drop("no connection came from the other host", [](Result<Done>) {});
        }
    });
}

Error GuestArrival::error(const std::string& why) const {
    return fail("receiving guest " + order_.guest, "", why);
}

void GuestArrival::start(OpenedStream stream) {
    if (state_ != State::waiting) return;
    Result<Fd> bytes = move_stream(std::move(stream), SealedEnd::receiver, order_.encrypted);
    if (!bytes) return drop(bytes.error().text(), [](Result<Done>) {});
    state_ = State::loading;
    timer_.cancel();
    driver_.migrate_in(definition_, std::move(*bytes),
                       [self = shared_from_this()](Result<Done> loaded) {
                           if (self->state_ != State::loading) return;
                           self->state_ = loaded ? State::arrived : State::gone;
                           if (!loaded) log_warning(loaded.error().text());
                           self->arrived_.finish(std::move(loaded));
                       });
}

void GuestArrival::drop(const std::string& reason, Callback<Done> done) {
    auto self = shared_from_this();
    if (!drop_.join(std::move(done))) return;
    const bool nothing = state_ == State::waiting || state_ == State::gone;
    state_ = State::gone;
    timer_.cancel();
    arrived_.finish(error(reason));
    if (nothing) return drop_.finish(Done{});
    log_warning("guest " + order_.guest + " does not stay: " + reason);
    driver_.destroy(order_.guest, [self](Result<Done> destroyed) {
        if (!destroyed) log_error(destroyed.error().text());
        self->drop_.finish(std::move(destroyed));
    });
}

}  // namespace grl::bridge
