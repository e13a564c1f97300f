#include "coordinator/ctl/client.h"

#include <unistd.h>

#include <optional>

#include "coordinator/ctl/units.h"

namespace grl::coordinator {

namespace {

constexpr Milliseconds kForever = std::chrono::hours(24 * 7);  // the silence ends it, not this

}  // namespace

Result<json::object> CtlClient::ask_raw(const std::string& type, json::object body,
                                        Progress progress) {
    auto server = parse_endpoint(server_);
    if (!server) return server.error();
    asio::io_context io;
    asio::steady_timer silence(io);
    std::shared_ptr<Channel> channel;
    std::optional<Result<json::object>> outcome;

    auto heard = [&] {
        silence.expires_after(kSilence);
        silence.async_wait([&](const boost::system::error_code& ec) {
            if (!ec && channel) {
                channel->close(fail("asking the coordinator", server_, "it has gone silent",
                                    ErrorKind::unreachable));
            }
        });
    };
    ConnectOptions options;
    options.server = *server;
    options.role = "ctl";
    options.name = user_text(geteuid());
    options.limit = kConnectLimit;
    connect_channel(io, options, [&](Result<std::shared_ptr<Channel>> opened) {
        if (!opened) {
            outcome = opened.error();
            return;
        }
        channel = *opened;
        channel->start();
        heard();
        channel->request_raw(
            type, std::move(body), kForever,
            [&](Result<json::object> answer) {
                outcome = std::move(answer);
                silence.cancel();
                io.stop();
            },
            [&](const json::object& news) {
                heard();
                if (progress && !news.empty()) progress(news);  // empty: only a sign of life
            });
    });
    io.run();
    if (channel) channel->close(fail("asking the coordinator", server_, "done"));
    if (!outcome)
        return fail("asking the coordinator", server_, "no answer", ErrorKind::unreachable);
    return *outcome;
}

}  // namespace grl::coordinator
