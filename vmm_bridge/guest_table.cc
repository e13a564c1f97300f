#include "vmm_bridge/guest_table.h"

#include <filesystem>

#include "grl/messages/manifest.h"

namespace grl::bridge {

std::vector<std::string> names_left(const std::string& run_dir, const std::string& suffix) {
    std::vector<std::string> names;
    std::error_code ec;
    for (std::filesystem::directory_iterator at(run_dir, ec), end; !ec && at != end;
         at.increment(ec)) {
        const std::string name = at->path().stem();
        if (at->path().extension() == suffix && valid_name(name)) names.push_back(name);
    }
    return names;
}

}  // namespace grl::bridge
