// Described structs to and from JSON. One mapping serves messages, manifests, configuration and
// --json output, so that a field is named once.
//
// from_json: a missing field is an error unless its type is std::optional or the struct's type lists
// it as defaulted by deriving from Defaulted; an unknown field is passed over (a newer peer may send
// it) unless Unknown::refuse is asked for (configuration). Errors name the path of the field.
// No exceptions; any thread.
//
// A type is two functions on an untyped value, a struct a table of its fields and an enum a table of
// its names, all of which json.cc walks: a file that names a message gets tables of it and no code.
#pragma once

#include <array>
#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "grl/base/result.h"

namespace grl {

namespace json = boost::json;

enum class Unknown { pass, refuse };

// A struct that derives from this keeps its initialisers for fields that are not given.
struct Defaulted {};

template <class T>
concept Described = boost::describe::has_describe_members<T>::value;
template <class T>
concept DescribedEnum = boost::describe::has_describe_enumerators<T>::value;
template <class T>
using MembersOf = boost::describe::describe_members<T, boost::describe::mod_public |
                                                           boost::describe::mod_inherited>;

struct JsonEnumerator {
    const char* name;
    std::int64_t value;
};

template <class E, class... D>
constexpr auto enumerators_in(boost::mp11::mp_list<D...>) {
    return std::array<JsonEnumerator, sizeof...(D)>{
        {{D::name, static_cast<std::int64_t>(D::value)}...}};
}
template <DescribedEnum E>
inline constexpr auto kEnumerators = enumerators_in<E>(
    boost::mp11::mp_rename<boost::describe::describe_enumerators<E>, boost::mp11::mp_list>());

std::string enumerator_name(std::span<const JsonEnumerator> all, std::int64_t value);
const JsonEnumerator* find_enumerator(std::span<const JsonEnumerator> all, std::string_view name);

template <DescribedEnum E>
std::string name_of(E value) {
    return enumerator_name(kEnumerators<E>, static_cast<std::int64_t>(value));
}

template <DescribedEnum E>
std::optional<E> enum_of(std::string_view text) {
    const JsonEnumerator* found = find_enumerator(kEnumerators<E>, text);
    return found ? std::optional<E>(static_cast<E>(found->value)) : std::nullopt;
}

// One reading of a whole value: how strictly, and what was wrong with it.
struct JsonReading {
    Unknown unknown = Unknown::pass;
    std::string why;  // "field guests[1].name: a text is wanted"

    bool bad(const std::string& path, std::string_view wanted);
};

using WriteJson = json::value (*)(const void* value);
// False with the reading's `why` set; `out` is unspecified then.
using ReadJson = bool (*)(const json::value& in, void* out, JsonReading& reading,
                          const std::string& path);

struct JsonField {
    const char* name;
    bool optional;
    void* (*of)(void* whole);
    WriteJson write;
    ReadJson read;
};

json::value write_list(const void* first, std::size_t count, std::size_t stride, WriteJson write);
json::object write_struct(const void* whole, std::span<const JsonField> fields);

bool read_enum(const json::value& in, std::int64_t& out, JsonReading& reading,
               const std::string& path, std::span<const JsonEnumerator> all);
// `append` gives the place of one more element.
bool read_list(const json::value& in, void* out, JsonReading& reading, const std::string& path,
               void* (*append)(void* list), ReadJson read);
bool read_map(const json::value& in, void* out, JsonReading& reading, const std::string& path,
              void* (*at)(void* map, const std::string& key), ReadJson read);
bool read_struct(const json::value& in, void* out, JsonReading& reading, const std::string& path,
                 std::span<const JsonField> fields, bool defaulted);

template <class T>
struct JsonFields;

// Everything but the leaves, which json.cc has.
template <class T>
struct Json {
    static_assert(Described<T> || DescribedEnum<T>,
                  "describe the struct with BOOST_DESCRIBE_STRUCT");

    static json::value write(const void* value) {
        if constexpr (DescribedEnum<T>) {
            return json::value(name_of(*static_cast<const T*>(value)));
        } else {
            return write_struct(value, JsonFields<T>::kAll);
        }
    }
    static bool read(const json::value& in, void* out, JsonReading& reading,
                     const std::string& path) {
        if constexpr (DescribedEnum<T>) {
            std::int64_t value = 0;
            if (!read_enum(in, value, reading, path, kEnumerators<T>)) return false;
            *static_cast<T*>(out) = static_cast<T>(value);
            return true;
        } else {
            return read_struct(in, out, reading, path, JsonFields<T>::kAll,
                               std::is_base_of_v<Defaulted, T>);
        }
    }
};

#define GRL_JSON_LEAF(...)                                                                \
    template <>                                                                           \
    struct Json<__VA_ARGS__> {                                                            \
        static json::value write(const void* value);                                      \
        static bool read(const json::value& in, void* out, JsonReading& reading,          \
                         const std::string& path);                                        \
    };
GRL_JSON_LEAF(json::value)
GRL_JSON_LEAF(json::object)
GRL_JSON_LEAF(std::string)
GRL_JSON_LEAF(bool)
GRL_JSON_LEAF(double)
GRL_JSON_LEAF(int)
GRL_JSON_LEAF(std::int64_t)
GRL_JSON_LEAF(std::uint16_t)
GRL_JSON_LEAF(std::uint32_t)
GRL_JSON_LEAF(std::uint64_t)
#undef GRL_JSON_LEAF

template <class T>
struct Json<std::optional<T>> {
    static json::value write(const void* value) {
        const auto& inner = *static_cast<const std::optional<T>*>(value);
        return inner ? Json<T>::write(&*inner) : json::value();
    }
    static bool read(const json::value& in, void* out, JsonReading& reading,
                     const std::string& path) {
        auto& inner = *static_cast<std::optional<T>*>(out);
        inner.reset();
        return in.is_null() || Json<T>::read(in, &inner.emplace(), reading, path);
    }
};

template <class T>
struct Json<std::vector<T>> {
    static json::value write(const void* value) {
        const auto& list = *static_cast<const std::vector<T>*>(value);
        return write_list(list.data(), list.size(), sizeof(T), Json<T>::write);
    }
    static bool read(const json::value& in, void* out, JsonReading& reading,
                     const std::string& path) {
        static_cast<std::vector<T>*>(out)->clear();
        return read_list(
            in, out, reading, path,
            [](void* list) -> void* { return &static_cast<std::vector<T>*>(list)->emplace_back(); },
            Json<T>::read);
    }
};

template <class T>
struct Json<std::map<std::string, T>> {
    using Map = std::map<std::string, T>;
    static json::value write(const void* value) {
        json::object o;
        for (const auto& [k, v] : *static_cast<const Map*>(value)) o[k] = Json<T>::write(&v);
        return o;
    }
    static bool read(const json::value& in, void* out, JsonReading& reading,
                     const std::string& path) {
        static_cast<Map*>(out)->clear();
        return read_map(
            in, out, reading, path,
            [](void* map, const std::string& key) -> void* { return &(*static_cast<Map*>(map))[key]; },
            Json<T>::read);
    }
};

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class Whole, auto Pointer>
void* field_of(void* whole) {
    return &(static_cast<Whole*>(whole)->*Pointer);
}

template <class Whole, class Member>
constexpr JsonField json_field(const char* name, void* (*of)(void*), Member Whole::*) {
    return {name, kIsOptional<Member>, of, Json<Member>::write, Json<Member>::read};
}

template <class T>
struct JsonFields {
    template <class... D>
    static constexpr std::array<JsonField, sizeof...(D)> in(boost::mp11::mp_list<D...>) {
        return {{json_field(D::name, field_of<T, D::pointer>, D::pointer)...}};
    }
    static constexpr auto kAll =
        in(boost::mp11::mp_rename<MembersOf<T>, boost::mp11::mp_list>());
};

template <class T>
json::value to_json(const T& value) {
    return Json<T>::write(&value);
}

// Of a described struct; what is an object already is passed on.
inline json::object to_object(const json::object& value) {
    return value;
}
template <class T>
json::object to_object(const T& value) {
    return write_struct(&value, JsonFields<T>::kAll);
}

// What was wrong, or nothing.
Result<void> read_whole(const json::value& in, void* out, ReadJson read, const std::string& subject,
                        Unknown unknown);

// `subject` says what is being read ("message drain", "manifest"), for the error.
template <class T>
Result<T> from_json(const json::value& in, const std::string& subject,
                    Unknown unknown = Unknown::pass) {
    T out{};
    if (auto r = read_whole(in, &out, Json<T>::read, subject, unknown); !r) return r.error();
    return out;
}

}  // namespace grl
