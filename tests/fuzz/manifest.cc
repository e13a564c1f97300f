// A line's manifest, as it lies in the checkpoint directory: what is taken names no path outside, and stays what it is.
#include "grl/messages/manifest.h"

#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    auto manifest = parse_manifest(std::string(fuzz::text_of(bytes, size)), "an input");
    if (!manifest) return 0;
    for (const ManifestGuest& g : manifest->guests) {
        fuzz::must(g.image.find('/') == std::string::npos && g.image != ".." && g.image != ".");
    }
    auto again = parse_manifest(json::serialize(to_json(*manifest)), "it again");
    fuzz::must(again && to_json(*again) == to_json(*manifest));
    return 0;
}
