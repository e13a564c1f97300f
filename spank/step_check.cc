#include "spank/step_check.h"


namespace grl {

Result<StepChecked> check_step(const MasterOptions& options) {
    asio::io_context io;
    Result<StepChecked> outcome = fail("asking the coordinator", options.coordinator.host,
                                "no answer in time", ErrorKind::unreachable);
    std::shared_ptr<Channel> channel;
    CheckStep question{options.facts.job, options.facts.step, options.node_list,
                       static_cast<std::uint32_t>(options.limit.count() / 2)};
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
                        channel->request<StepChecked>(question, options.limit,
                                                      [&](Result<StepChecked> checked) {
                                                          outcome = std::move(checked);
                                                          io.stop();
                                                      });
                    });
    io.run_for(options.limit);
    return outcome;
}

}  // namespace grl
