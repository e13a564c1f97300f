// The three files of configuration: the first byte says which. What is taken has a name that may become a path.
#include "grl/base/config.h"

#include "grl/messages/manifest.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    using namespace grl;
    if (size == 0) return 0;
    static const std::string path = fuzz::scratch("config.toml");
    fuzz::put_file(path, fuzz::text_of(bytes + 1, size - 1));
    switch (bytes[0] % 3) {
        case 0:
            if (auto read = load_coordinator_config(path)) fuzz::must(valid_name(read->cluster));
            break;
        case 1:
            if (auto read = load_bridge_config(path)) fuzz::must(valid_name(read->bridge.host));
            break;
        default:
            if (auto read = load_guest_definition(path)) fuzz::must(valid_name(read->name));
    }
    return 0;
}
