// What the bridge's processes may ask of the kernel, by seccomp (seccomp(2), libseccomp) and
// capabilities(7). What is refused answers an error; nobody is killed for it.
//
// Blocking; to be called once, before any thread is started. There is no way back.
#pragma once

#include "grl/base/result.h"

namespace grl::bridge {

// The half that listens to the network, after drop_privileges: sockets, threads of its own and
// files that are read. It opens nothing for writing, so no device; it starts and signals nobody.
Result<void> confine_network_half();

// The stream keeper, after drop_privileges: descriptors that it is given, and nothing else.
Result<void> confine_stream_keeper();

// The half that holds the hypervisor, and with it all that it starts, also VMMs: without the
// capabilities that a VMM and its network do not need, and without the calls that change the kernel
// itself. Where it is not root the capabilities are as they are.
Result<void> confine_privileged_half();

}  // namespace grl::bridge
