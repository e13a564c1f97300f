// What lines, holds, moves and restores are made with. All of it outlives them.
#pragma once

#include "coordinator/cluster/room.h"
#include "coordinator/cluster/steps.h"
#include "coordinator/config.h"
#include "coordinator/slurm/view.h"
#include "coordinator/store/store.h"
#include "coordinator/store/sweep.h"

namespace grl::coordinator {

struct Parts {
    asio::io_context& io;
    const CoordinatorConfig& config;
    Hosts& hosts;
    Steps& steps;
    SlurmView& slurm;
    Store& store;
    Sweep& sweep;
    Room& room;
};

}  // namespace grl::coordinator
