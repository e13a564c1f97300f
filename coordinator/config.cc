#include "coordinator/config.h"

#include "grl/base/config.h"
#include "grl/messages/manifest.h"
#include "grl/messages/phase.h"

namespace grl::coordinator {

std::string deadlines_fault(const Deadlines& d) {
    // The VMMs' own last limits lie above it, so that none of them overrules what stands here.
    constexpr std::uint32_t kDay = 24 * 3'600'000;
    std::string fault;
    boost::mp11::mp_for_each<
        boost::describe::describe_members<Deadlines, boost::describe::mod_public>>(
        [&](auto member) {
            if (d.*member.pointer == 0)
                fault = std::string("key deadlines.") + member.name + ": at least 1 ms is wanted";
            if (d.*member.pointer > kDay)
                fault = std::string("key deadlines.") + member.name +
                        ": at most a day (86400000) is wanted";
        });
    if (!fault.empty()) return fault;
    // A gate that opens by itself before the cut is one too early.
    const std::uint64_t standing = std::uint64_t{d.freeze_ms} + d.capture_ms + d.release_ms;
    if (d.silence_failsafe_ms <= standing)
        return "key deadlines.silence_failsafe_ms: more than freeze_ms, capture_ms and release_ms "
               "together (" +
               std::to_string(standing) + ") is wanted";
    // Ranks that do not see their master beat for 30 s open the gates themselves.
    if (d.freeze_ms >= 30'000) return "key deadlines.freeze_ms: less than 30000 is wanted";
    return {};
}

Result<CoordinatorConfig> load_coordinator_config(const std::string& path) {
    auto config = load_config<CoordinatorConfig>(path);
    if (!config) return config;
    if (!valid_name(config->cluster)) return config_error(path, "key cluster: a name is wanted");
    if (!is_capture(config->coordinator.capture)) {
        return config_error(
            path, "key coordinator.capture: one of auto, background, live, stop_copy is wanted");
    }
    if (const std::string fault = deadlines_fault(config->deadlines); !fault.empty()) {
        return config_error(path, fault);
    }
    if (config->coordinator.keep_lines == 0) {
        return config_error(path, "key coordinator.keep_lines: at least 1 is wanted");
    }
    return config;
}

}  // namespace grl::coordinator
