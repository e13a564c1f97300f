#include "vmm_bridge/qemu/restore.h"

#include <boost/asio/steady_timer.hpp>

#include "grl/messages/opening.h"

namespace grl::bridge {

namespace {

constexpr const char* kStreamName = "grl-restore";
constexpr Milliseconds kLoadLimit{25 * 3'600'000};  // above any deadline of the coordinator's

struct Load : std::enable_shared_from_this<Load> {
    Load(std::shared_ptr<QemuGuest> g, GuestState l, Callback<Done> d)
        : guest(std::move(g)), loaded(l), done(std::move(d)), deadline(guest->io(), kLoadLimit) {}

    std::shared_ptr<QemuGuest> guest;
    GuestState loaded;
    Callback<Done> done;
    asio::steady_timer deadline;
    bool ended = false;

    void start(Fd stream) {
        auto self = shared_from_this();
        deadline.async_wait([self](boost::system::error_code ec) {
            if (!ec) self->end(self->error("QEMU did not load it in time"));
        });
        guest->watch([self](const Result<QmpEvent>& event) { self->on_event(event); });
        auto on_reply = [self](Result<json::value> reply) {
            // A dead monitor is no reason: the watcher gets that of its process.
            if (!reply && reply.error().kind != ErrorKind::unreachable) self->end(reply.error());
        };
        guest->command("getfd", {{"fdname", kStreamName}}, on_reply, std::move(stream));
        guest->command("migrate-incoming", {{"uri", std::string("fd:") + kStreamName}}, on_reply);
    }
    void on_event(const Result<QmpEvent>& event) {
        if (!event) return end(event.error());
        if (event->name != "MIGRATION") return;
        const json::value* status = event->data.if_contains("status");
        if (!status || !status->is_string()) return;
        // After "failed" QEMU exits, and its last words say why.
        if (status->get_string() == "completed") {
            guest->await_status({"paused", "postmigrate"},
                                [self = shared_from_this()](Result<std::string> paused) {
                                    if (!paused) return self->end(paused.error());
                                    self->guest->set_state(self->loaded);
                                    self->end(Done{});
                                });
        }
    }
    void end(Result<Done> outcome) {
        if (ended) return;
        ended = true;
        deadline.cancel();
        guest->watch({});
        done(std::move(outcome));
    }
    Error error(const std::string& why) const {
        return fail("loading guest " + guest->definition().name, "", why);
    }
};

}  // namespace

void load_qemu(const std::shared_ptr<QemuGuest>& guest, Fd stream, GuestState loaded,
               Callback<Done> done) {
    std::make_shared<Load>(guest, loaded, std::move(done))->start(std::move(stream));
}

}  // namespace grl::bridge
