// Configuration: TOML files into described structs. An unknown key, a missing one or a wrong type
// is an error that names file and key. Each program keeps its own structs; keys and defaults stand
// in docs/configuration.md.
#pragma once

#include <string>

#include "grl/base/json.h"

namespace grl {

// What is wrong with a file.
Error config_error(const std::string& path, const std::string& why);

Result<std::string> read_config(const std::string& path);

// A TOML file's text as JSON, of which the structs are read.
Result<json::value> parse_toml(const std::string& text, const std::string& path);

template <class Config>
Result<Config> parse_config(const std::string& text, const std::string& path) {
    Result<json::value> value = parse_toml(text, path);
    if (!value) return value.error();
    Result<Config> config = from_json<Config>(*value, "configuration", Unknown::refuse);
    if (config) return config;
    Error e = config.error();
    e.where = path;
    e.kind = ErrorKind::usage;
    return e;
}

template <class Config>
Result<Config> load_config(const std::string& path) {
    Result<std::string> text = read_config(path);
    if (!text) return text.error();
    return parse_config<Config>(*text, path);
}

}  // namespace grl
