// grl-master's command line, which spank_grl.so writes. Pure.
#pragma once

#include <string>
#include <vector>

#include "grl/wire/handshake.h"
#include "spank/master.h"

namespace grl {

struct MasterOptions {
    bool check = false;       // ask the coordinator whether the step may be protected, and end
    bool foreground = false;  // for tests: no daemon, log to standard error
    Endpoint coordinator;
    std::string munge_socket;            // empty: MUNGE's own
    StepFacts facts;                     // of a check: job and step
    std::vector<std::string> node_list;  // of a check
    std::string page;
    std::string log;
    Milliseconds limit{5000};  // for the answer
};

Result<MasterOptions> parse_master_options(int argc, const char* const argv[]);

}  // namespace grl
