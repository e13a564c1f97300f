#include "grl/base/config.h"

// The library that Debian builds has the throwing variant only; the header has both.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
// Some malformed files make it assert (end the process, or with NDEBUG take for true what is not): for us they are
// malformed files like others. Found by tests/fuzz/config.
namespace grl {
namespace {
struct TomlGaveUp {};
[[noreturn]] void toml_gives_up() {
    throw TomlGaveUp();
}
}  // namespace
}  // namespace grl
#undef NDEBUG
#define TOML_ASSERT(expression) ((expression) ? void() : ::grl::toml_gives_up())
#include <toml++/toml.h>

#include <sstream>

#include "grl/base/file.h"
#include "grl/messages/manifest.h"
#include "grl/messages/phase.h"

namespace grl {

namespace {

json::value to_json_value(const toml::node& node) {
    if (const auto* table = node.as_table()) {
        json::object o;
        for (const auto& [key, value] : *table) o[std::string_view(key)] = to_json_value(value);
        return o;
    }
    if (const auto* array = node.as_array()) {
        json::array a;
        for (const auto& value : *array) a.push_back(to_json_value(value));
        return a;
    }
    if (const auto* text = node.as_string()) return json::value(text->get());
    if (const auto* number = node.as_integer()) return json::value(number->get());
    if (const auto* number = node.as_floating_point()) return json::value(number->get());
    if (const auto* flag = node.as_boolean()) return json::value(flag->get());
    return nullptr;  // dates: no key of ours takes one
}

Error bad(const std::string& path, const std::string& why) {
    return fail("reading configuration", path, why, ErrorKind::usage);
}

template <class Config>
Result<Config> load(const std::string& path) {
    Result<std::string> text = read_file(path);
    if (!text) return bad(path, text.error().why);
    return parse_config<Config>(*text, path);
}

}  // namespace

Result<json::value> parse_toml(const std::string& text, const std::string& path) {
    toml::parse_result parsed;
    try {
        parsed = toml::parse(text);
    } catch (const TomlGaveUp&) {
        return bad(path, "it is no TOML");
    }
    if (!parsed) {
        std::ostringstream why;
        why << parsed.error().description() << " in line " << parsed.error().source().begin.line;
        return bad(path, why.str());
    }
    return to_json_value(parsed.table());
}

std::string deadlines_fault(const Deadlines& d) {
    std::string fault;
    boost::mp11::mp_for_each<
        boost::describe::describe_members<Deadlines, boost::describe::mod_public>>(
        [&](auto member) {
            if (d.*member.pointer == 0)
                fault = std::string("key deadlines.") + member.name + ": at least 1 ms is wanted";
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
    auto config = load<CoordinatorConfig>(path);
    if (!config) return config;
    if (!valid_name(config->cluster)) return bad(path, "key cluster: a name is wanted");
    if (!is_capture(config->coordinator.capture)) {
        return bad(path,
                   "key coordinator.capture: one of auto, background, live, stop_copy is wanted");
    }
    if (const std::string fault = deadlines_fault(config->deadlines); !fault.empty()) {
        return bad(path, fault);
    }
    if (config->coordinator.keep_lines == 0) {
        return bad(path, "key coordinator.keep_lines: at least 1 is wanted");
    }
    return config;
}

Result<BridgeConfig> load_bridge_config(const std::string& path) {
    auto config = load<BridgeConfig>(path);
    if (!config) return config;
    if (!valid_name(config->cluster)) return bad(path, "key cluster: a name is wanted");
    if (!valid_name(config->bridge.host)) return bad(path, "key bridge.host: a name is wanted");
    if (config->bridge.memory_mib == 0) {
        return bad(path, "key bridge.memory_mib: the MiB that guests may take are wanted");
    }
    if (config->bridge.zstd_level < 1 || config->bridge.zstd_level > 19) {
        return bad(path, "key bridge.zstd_level: 1 to 19 is wanted");
    }
    return config;
}

Result<GuestDefinition> load_guest_definition(const std::string& path) {
    auto guest = load<GuestDefinition>(path);
    if (!guest) return guest;
    if (!valid_name(guest->name)) return bad(path, "key name: a name is wanted");
    if (guest->memory_mib == 0) return bad(path, "key memory_mib: the guest's memory is wanted");
    if (guest->vcpus == 0) return bad(path, "key vcpus: at least 1 is wanted");
    return guest;
}

}  // namespace grl
