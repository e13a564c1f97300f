// In place of the agent library: the gate is shut for good and each outermost call says its class
// on standard error, but nobody parks.
#include <cstdio>

#include "grl/page/gate.h"

namespace {

const std::atomic<std::uint32_t> g_shut{1};

void say(grl::Gate*, grl::CallClass call) {
    std::fprintf(stderr, "pass %u\n", static_cast<unsigned>(call));
}

void leave(grl::Gate* gate, bool) {
    gate->shut = &gate->open;
    gate->agent = nullptr;
    gate->leave = nullptr;
}

}  // namespace

extern "C" grl::Joined grl_agent_join(grl::Gate* gate, std::uint32_t, char*, std::size_t) {
    gate->slow_enter = say;
    gate->slow_exit = [](grl::Gate*) {};
    gate->leave = leave;
    gate->agent = gate;
    gate->shut = &g_shut;
    return grl::Joined::joined;
}
