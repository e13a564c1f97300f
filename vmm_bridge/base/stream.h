// The way a guest's state takes between VMM and bridge: a pair of connected stream sockets, each
// end closed on exec. A socket and not a pipe, as QEMU writes into it three times as fast (vectors
// of pages at once), with large buffers where the kernel lets us. Non-blocking calls; any thread.
#pragma once

#include "grl/base/file.h"
#include "grl/base/result.h"

namespace grl::bridge {

struct StreamPair {
    Fd vmm;     // to be handed to the driver
    Fd bridge;  // to be read or written here, blocking
};

Result<StreamPair> open_stream_pair();

// From now on whoever writes to this end is held up as soon as its peer stops reading.
void narrow(const Fd& end);
// As it was opened.
void widen(const Fd& end);

}  // namespace grl::bridge
