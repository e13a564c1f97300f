// What a QEMU says on its monitor, while two commands wait for their answers: "do not trust the device model".
#include "vmm_bridge/qemu/qmp.h"

#include <sys/un.h>

#include <boost/asio/io_context.hpp>

#include "grl/base/log.h"
#include "tests/fuzz/input.h"

namespace {

int listener(const std::string& path) {
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    path.copy(name.sun_path, sizeof name.sun_path - 1);
    grl::fuzz::must(bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof name) == 0 && listen(fd, 8) == 0);
    return fd;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    using bridge::Milliseconds;
    static const std::string path = fuzz::scratch("qmp");
    static const int at = listener(path);
    boost::asio::io_context io;
    int answers = 0, connected = 0, closed = 0;
    bridge::Qmp::connect(io, path, Milliseconds(60'000), [&](auto qmp) {
        ++connected;
        if (!qmp) return;
        (*qmp)->set_handlers({[&](const bridge::QmpEvent& event) { answers += event.name.size() > 64; },
                              [&](const Error&) { ++closed; }});
        (*qmp)->execute("query-status", {}, Milliseconds(60'000), [&](auto reply) {
            answers += reply && bridge::text_in(*reply, "status").empty();
        });
        (*qmp)->execute("query-migrate", {{"a", 1}}, Milliseconds(60'000), [&](auto) { ++answers; });
    });
    Fd qemu(accept4(at, nullptr, nullptr, SOCK_CLOEXEC));
    const ssize_t n = send(qemu.get(), bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)n;
    shutdown(qemu.get(), SHUT_WR);
    io.run();
    fuzz::must(connected == 1 && closed <= 1);
    return 0;
}
