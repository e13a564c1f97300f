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

}  // namespace

Error config_error(const std::string& path, const std::string& why) {
    return fail("reading configuration", path, why, ErrorKind::usage);
}

Result<std::string> read_config(const std::string& path) {
    Result<std::string> text = read_file(path);
    if (!text) return config_error(path, text.error().why);
    return text;
}

Result<json::value> parse_toml(const std::string& text, const std::string& path) {
    toml::parse_result parsed;
    try {
        parsed = toml::parse(text);
    } catch (const TomlGaveUp&) {
        return config_error(path, "it is no TOML");
    }
    if (!parsed) {
        std::ostringstream why;
        why << parsed.error().description() << " in line " << parsed.error().source().begin.line;
        return config_error(path, why.str());
    }
    return to_json_value(parsed.table());
}

}  // namespace grl
