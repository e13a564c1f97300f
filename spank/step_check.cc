#include "spank/step_check.h"

#include "grl/messages/check.h"
#include "grl/messages/opening.h"

namespace grl {

Result<void> check_step(const MasterOptions& options) {
    asio::io_context io;
    Result<void> outcome = fail("asking the coordinator", options.coordinator.host,
                                "no answer in time", ErrorKind::unreachable);
    std::shared_ptr<Channel> channel;
    CheckStep question{options.facts.job, options.facts.step, options.node_list};
    connect_channel(io,
                    ConnectOptions{.server = options.coordinator,
                                   .munge_socket = options.munge_socket,
                                   .role = "check",
                                   .name = "srun",
                                   .limit = options.limit},
                    [&](Result<std::shared_ptr<Channel>> opened) {
                        if (!opened) {
                            Error why = opened.error();
                            why.what = "reaching the coordinator";
                            outcome = why;
                            return io.stop();
                        }
                        channel = *opened;
                        channel->start();
                        channel->request<Done>(question, options.limit, [&](Result<Done> done) {
                            outcome = done ? Result<void>() : Result<void>(done.error());
                            io.stop();
                        });
                    });
    io.run_for(options.limit);
    return outcome;
}

}  // namespace grl
