// What stands before libxenlight's bytes in a stream that comes from another host or from storage.
#include <boost/asio/io_context.hpp>

#include "tests/fuzz/input.h"
#include "vmm_bridge/xen/stream.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    const std::string_view text = fuzz::text_of(bytes, size);
    (void)bridge::decode_xen_head(text.substr(0, bridge::kXenHeadBytes));
    boost::asio::io_context io;
    auto [near, far] = fuzz::ends_with(text);
    int ended = 0;
    bridge::read_xen_head(io, std::move(near), std::chrono::seconds(60), [&](auto stream) {
        ++ended;
        if (!stream) return;
        // Not a byte of libxenlight's is taken.
        const std::size_t head = bridge::kXenHeadBytes + (*stream)->configuration.size();
        std::string rest(text.size() - head + 1, '\0');
        fuzz::must(recv((*stream)->stream.get(), rest.data(), rest.size(), MSG_WAITALL) ==
                   static_cast<ssize_t>(text.size() - head));
    });
    io.run();
    fuzz::must(ended == 1);
    return 0;
}
