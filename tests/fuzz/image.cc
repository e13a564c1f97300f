// An image: as a file of any bytes, and (first byte odd) as a frame of any bytes in an image that is else whole.
#include <thread>

#include "tests/fuzz/input.h"
#include "vmm_bridge/image/format.h"
#include "vmm_bridge/image/reader.h"

namespace {

// A VMM that takes all and wants none of it.
int sink() {
    static const int end = [] {
        int ends[2];
        grl::fuzz::must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        std::thread([from = ends[1]] {
            static char buffer[1U << 20];
            while (read(from, buffer, sizeof buffer) > 0) {
            }
        }).detach();
        return ends[0];
    }();
    return end;
}

std::string whole_image(std::string_view frame) {
    std::uint64_t raw = 0;
    for (std::size_t i = 0; i < 2 && i < frame.size(); ++i) raw = raw << 8 | static_cast<unsigned char>(frame[i]);
    if (frame.size() >= 2) frame.remove_prefix(2);
    return grl::bridge::encode_image_start({"lab", 1, 1, "g1", "h1", "qemu", "7.2", "d", 256, 1}) +
           std::string(frame) + grl::bridge::encode_image_end({raw, frame.size()});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    if (size == 0) return 0;
    const std::string_view rest = fuzz::text_of(bytes + 1, size - 1);
    const std::string path = fuzz::scratch("image");
    fuzz::put_file(path, bytes[0] % 2 ? whole_image(rest) : rest);
    auto reader = bridge::ImageReader::open(path);
    if (!reader) return 0;
    (void)reader->verify(reader->stored_bytes(), std::string(32, '0'));
    (void)reader->unpack(sink());
    const std::string start = bridge::encode_image_start(reader->header());
    auto length = bridge::decode_fixed_start(start);
    fuzz::must(length && bridge::decode_image_header(std::string_view(start).substr(bridge::kImageFixedStart)));
    return 0;
}
