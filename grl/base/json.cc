#include "grl/base/json.h"

#include <limits>

namespace grl {

namespace {

template <class T>
const T& as(const void* value) {
    return *static_cast<const T*>(value);
}

template <class T>
bool read_whole_number(const json::value& in, void* out, JsonReading& reading,
                       const std::string& path) {
    boost::system::error_code ec;
    T number = in.to_number<T>(ec);
    if (ec || in.is_double()) {
        return reading.bad(path, "a whole number from " +
                                     std::to_string(std::numeric_limits<T>::min()) + " to " +
                                     std::to_string(std::numeric_limits<T>::max()));
    }
    *static_cast<T*>(out) = number;
    return true;
}

}  // namespace

bool JsonReading::bad(const std::string& path, std::string_view wanted) {
    why = (path.empty() ? std::string("the value") : "field " + path) + ": " +
          std::string(wanted) + " is wanted";
    return false;
}

std::string enumerator_name(std::span<const JsonEnumerator> all, std::int64_t value) {
    for (const auto& e : all) {
        if (e.value == value) return e.name;
    }
    return "unknown";
}

const JsonEnumerator* find_enumerator(std::span<const JsonEnumerator> all, std::string_view name) {
    for (const auto& e : all) {
        if (name == e.name) return &e;
    }
    return nullptr;
}

json::value write_list(const void* first, std::size_t count, std::size_t stride, WriteJson write) {
    json::array a;
    a.reserve(count);
    const char* at = static_cast<const char*>(first);
    for (std::size_t i = 0; i < count; ++i, at += stride) a.push_back(write(at));
    return a;
}

json::object write_struct(const void* whole, std::span<const JsonField> fields) {
    json::object o;
    for (const auto& f : fields) {
        json::value value = f.write(f.of(const_cast<void*>(whole)));
        if (!f.optional || !value.is_null()) o[f.name] = std::move(value);
    }
    return o;
}

bool read_enum(const json::value& in, std::int64_t& out, JsonReading& reading,
               const std::string& path, std::span<const JsonEnumerator> all) {
    const JsonEnumerator* found =
        in.is_string() ? find_enumerator(all, std::string_view(in.get_string())) : nullptr;
    if (found) {
        out = found->value;
        return true;
    }
    std::string names;
    for (const auto& e : all) names += std::string(names.empty() ? "" : ", ") + e.name;
    return reading.bad(path, "one of " + names);
}

bool read_list(const json::value& in, void* out, JsonReading& reading, const std::string& path,
               void* (*append)(void* list), ReadJson read) {
    if (!in.is_array()) return reading.bad(path, "a list");
    std::size_t count = 0;
    for (const auto& e : in.get_array()) {
        if (!read(e, append(out), reading, path + "[" + std::to_string(count++) + "]")) return false;
    }
    return true;
}

bool read_map(const json::value& in, void* out, JsonReading& reading, const std::string& path,
              void* (*at)(void* map, const std::string& key), ReadJson read) {
    if (!in.is_object()) return reading.bad(path, "an object");
    for (const auto& kv : in.get_object()) {
        const std::string key(kv.key());
        if (!read(kv.value(), at(out, key), reading, path + "." + key)) return false;
    }
    return true;
}

bool read_struct(const json::value& in, void* out, JsonReading& reading, const std::string& path,
                 std::span<const JsonField> fields, bool defaulted) {
    if (!in.is_object()) return reading.bad(path, "an object");
    const json::object& o = in.get_object();
    std::size_t known = 0;
    for (const auto& f : fields) {
        const std::string at = path.empty() ? f.name : path + "." + f.name;
        if (const json::value* v = o.if_contains(f.name)) {
            ++known;
            if (!f.read(*v, f.of(out), reading, at)) return false;
        } else if (!f.optional && !defaulted) {
            reading.why = "field " + at + " is missing";
            return false;
        }
    }
    if (reading.unknown == Unknown::pass || known == o.size()) return true;
    for (const auto& kv : o) {
        bool is_field = false;
        for (const auto& f : fields) is_field = is_field || kv.key() == f.name;
        if (is_field) continue;
        reading.why = "unknown key " + (path.empty() ? "" : path + ".") + std::string(kv.key());
        return false;
    }
    return true;
}

Result<void> read_whole(const json::value& in, void* out, ReadJson read, const std::string& subject,
                        Unknown unknown) {
    JsonReading reading{unknown, {}};
    if (read(in, out, reading, "")) return {};
    return fail("reading " + subject, "", reading.why, ErrorKind::protocol);
}

json::value Json<json::value>::write(const void* value) { return as<json::value>(value); }
bool Json<json::value>::read(const json::value& in, void* out, JsonReading&, const std::string&) {
    *static_cast<json::value*>(out) = in;
    return true;
}

json::value Json<json::object>::write(const void* value) { return as<json::object>(value); }
bool Json<json::object>::read(const json::value& in, void* out, JsonReading& reading,
                              const std::string& path) {
    if (!in.is_object()) return reading.bad(path, "an object");
    *static_cast<json::object*>(out) = in.get_object();
    return true;
}

json::value Json<std::string>::write(const void* value) {
    return json::value(as<std::string>(value));
}
bool Json<std::string>::read(const json::value& in, void* out, JsonReading& reading,
                             const std::string& path) {
    if (!in.is_string()) return reading.bad(path, "a text");
    static_cast<std::string*>(out)->assign(in.get_string().data(), in.get_string().size());
    return true;
}

json::value Json<bool>::write(const void* value) { return json::value(as<bool>(value)); }
bool Json<bool>::read(const json::value& in, void* out, JsonReading& reading,
                      const std::string& path) {
    if (!in.is_bool()) return reading.bad(path, "true or false");
    *static_cast<bool*>(out) = in.get_bool();
    return true;
}

json::value Json<double>::write(const void* value) { return json::value(as<double>(value)); }
bool Json<double>::read(const json::value& in, void* out, JsonReading& reading,
                        const std::string& path) {
    if (!in.is_number()) return reading.bad(path, "a number");
    *static_cast<double*>(out) = in.to_number<double>();
    return true;
}

#define GRL_JSON_WHOLE_NUMBER(T)                                                                 \
    json::value Json<T>::write(const void* value) { return json::value(as<T>(value)); }          \
    bool Json<T>::read(const json::value& in, void* out, JsonReading& reading,                   \
                       const std::string& path) {                                                \
        return read_whole_number<T>(in, out, reading, path);                                     \
    }
GRL_JSON_WHOLE_NUMBER(int)
GRL_JSON_WHOLE_NUMBER(std::int64_t)
GRL_JSON_WHOLE_NUMBER(std::uint16_t)
GRL_JSON_WHOLE_NUMBER(std::uint32_t)
GRL_JSON_WHOLE_NUMBER(std::uint64_t)
#undef GRL_JSON_WHOLE_NUMBER

}  // namespace grl
