// Loads a guest's state into a QEMU that was launched to wait for it; it stays paused, and
// is `loaded` then: paused or arrived.
//
//     sent ── MIGRATION completed, status paused ──► loaded
//       └── failed, monitor or process gone, deadline ──► error
//
// Threads: the io_context's. Keeps itself alive until it has told.
#pragma once

#include <memory>

#include "grl/messages/opening.h"
#include "vmm_bridge/qemu/guest.h"

namespace grl::bridge {

void load_qemu(const std::shared_ptr<QemuGuest>& guest, Fd stream, GuestState loaded,
               Callback<Done> done);

}  // namespace grl::bridge
