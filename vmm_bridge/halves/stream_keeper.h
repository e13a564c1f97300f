// A process that outlives the bridge's sudden death for as long as guests need it.
//
// QEMU must never lose the reader of a background snapshot's stream: if that migration fails or is
// cancelled, 7.2 leaves the guest's memory write-protected and its vCPUs stand in handle_userfault
// for ever. So each stream's reading end is also held by this process, which reads nothing while
// the bridge lives and, when the bridge is gone, reads to the end of all of them and exits.
//
//     holding ── a stream's end ──► lets go of it
//        └────── the bridge's end ──► draining ── all ended ──► exit
//
// It is forked before anything else runs, and has no rights.
#pragma once

#include "grl/base/file.h"
#include "grl/base/result.h"

namespace grl::bridge {

class StreamKeeper {
  public:
    // Forks it. Before there are threads. `user` is whom it becomes, as drop_privileges has it.
    static Result<StreamKeeper> start(const std::string& user);

    // Non-blocking. A failure is logged: the guest is then at risk only if the bridge dies too.
    void keep(int stream);

  private:
    explicit StreamKeeper(Fd control) : control_(std::move(control)) {}
    Fd control_;
};

}  // namespace grl::bridge
