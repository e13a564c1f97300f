// A Xen guest's state on its way into a stream: one libxl_domain_suspend by libxenlight's helper
// process.
//
//     stop-copy, of a suspended guest: head ► memory ► ended; suspended as before
//     live, of a running guest:        head ► memory, again what it has written ► suspended ► ended
//     any ── fails, cancel ──► ended with the reason; the guest runs or is suspended (look())
//
// The helper writes the guest's pages straight from its memory, so the stream must be a socket or
// pipe. Threads: the io_context's. Keeps itself alive until it has told.
#pragma once

#include <memory>
#include <string>

#include "grl/messages/opening.h"
#include "vmm_bridge/xen/guest.h"
#include "vmm_bridge/xen/store.h"

namespace grl::bridge {

class XenSave : public std::enable_shared_from_this<XenSave> {
  public:
    explicit XenSave(std::shared_ptr<XenGuest> guest) : guest_(std::move(guest)) {}

    // `act` begins errors: "capturing". The guest was examined. The stream is closed before `done`.
    void start(const std::string& act, Fd stream, Milliseconds limit, Callback<Done> done);

  private:
    std::shared_ptr<XenGuest> guest_;
    Fd stream_;
    std::shared_ptr<SuspendAnswer> answer_;
};

}  // namespace grl::bridge
