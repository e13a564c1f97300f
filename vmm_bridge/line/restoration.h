// Guests of a committed line, loaded on this host and left paused.
//
//     reading the manifest ► verifying all images ► loading all ──► loaded
//          └──────────────────────┴──────────────────┴─ one fails ─► undoing ─► failed, none is
//          left
//
// Threads: the io_context's; files on threads of their own. Keeps itself alive until it has told.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "grl/messages/guests.h"
#include "grl/messages/lines.h"
#include "grl/messages/stored.h"
#include "vmm_bridge/driver.h"
#include "vmm_bridge/image/line_store.h"

namespace grl::bridge {

namespace asio = boost::asio;

// As they are now on this host; blocking, on a thread that may.
using FreshContents = std::function<Contents(const GuestDefinition&)>;

// Whether they could be: all that restore_guests verifies and what their memory takes for granted,
// and nothing is loaded.
void check_images(asio::io_context& io, const LineStore& store, LineId id,
                  std::vector<GuestDefinition> guests, FreshContents contents,
                  Callback<VerifiedLine> done);

void restore_guests(asio::io_context& io, Driver& driver, const LineStore& store, LineId id,
                    std::vector<GuestDefinition> guests, Callback<RestoredGuests> done);

}  // namespace grl::bridge
