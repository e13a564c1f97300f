// Described structs to and from JSON. One mapping serves messages, manifests, configuration and
// --json output, so that a field is named once.
//
// from_json: a missing field is an error unless its type is std::optional or the struct's type lists
// it as defaulted by deriving from Defaulted; an unknown field is passed over (a newer peer may send
// it) unless Unknown::refuse is asked for (configuration). Errors name the path of the field.
// No exceptions; any thread.
#pragma once

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>
#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
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

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsStringMap : std::false_type {};
template <class T>
struct IsStringMap<std::map<std::string, T>> : std::true_type {};

template <DescribedEnum E>
std::string name_of(E value) {
    return boost::describe::enum_to_string(value, "unknown");
}

template <DescribedEnum E>
std::optional<E> enum_of(std::string_view text) {
    std::optional<E> found;
    boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) {
        if (text == d.name) found = d.value;
    });
    return found;
}

template <class T>
json::value to_json(const T& value) {
    if constexpr (std::is_same_v<T, json::object> || std::is_same_v<T, json::value>) {
        return value;
    } else if constexpr (std::is_same_v<T, bool> || std::is_arithmetic_v<T> ||
                         std::is_same_v<T, std::string>) {
        return json::value(value);
    } else if constexpr (DescribedEnum<T>) {
        return json::value(name_of(value));
    } else if constexpr (IsOptional<T>::value) {
        return value ? to_json(*value) : json::value();
    } else if constexpr (IsVector<T>::value) {
        json::array a;
        for (const auto& e : value) a.push_back(to_json(e));
        return a;
    } else if constexpr (IsStringMap<T>::value) {
        json::object o;
        for (const auto& [k, v] : value) o[k] = to_json(v);
        return o;
    } else {
        static_assert(Described<T>, "describe the struct with BOOST_DESCRIBE_STRUCT");
        json::object o;
        boost::mp11::mp_for_each<MembersOf<T>>([&](auto d) {
            const auto& member = value.*d.pointer;
            if constexpr (IsOptional<std::remove_cvref_t<decltype(member)>>::value) {
                if (!member) return;
            }
            o[d.name] = to_json(member);
        });
        return o;
    }
}

// Reads `in` into `out`; false with `why` set ("field guests[1].name: a text is wanted").
// `out` is unspecified after a failure.
template <class T>
bool read_json(const json::value& in, T& out, std::string& why, const std::string& path = "",
               Unknown unknown = Unknown::pass) {
    auto bad = [&](std::string_view wanted) {
        why = (path.empty() ? std::string("the value") : "field " + path) + ": " +
              std::string(wanted) + " is wanted";
        return false;
    };
    if constexpr (std::is_same_v<T, json::value>) {
        out = in;
        return true;
    } else if constexpr (std::is_same_v<T, json::object>) {
        if (!in.is_object()) return bad("an object");
        out = in.get_object();
        return true;
    } else if constexpr (std::is_same_v<T, bool>) {
        if (!in.is_bool()) return bad("true or false");
        out = in.get_bool();
        return true;
    } else if constexpr (std::is_integral_v<T>) {
        boost::system::error_code ec;
        T number = in.to_number<T>(ec);
        if (ec || in.is_double()) {
            return bad("a whole number from " + std::to_string(std::numeric_limits<T>::min()) +
                       " to " + std::to_string(std::numeric_limits<T>::max()));
        }
        out = number;
        return true;
    } else if constexpr (std::is_floating_point_v<T>) {
        if (!in.is_number()) return bad("a number");
        out = in.to_number<T>();
        return true;
    } else if constexpr (std::is_same_v<T, std::string>) {
        if (!in.is_string()) return bad("a text");
        out.assign(in.get_string().data(), in.get_string().size());
        return true;
    } else if constexpr (DescribedEnum<T>) {
        std::string names;
        boost::mp11::mp_for_each<boost::describe::describe_enumerators<T>>(
            [&](auto d) { names += std::string(names.empty() ? "" : ", ") + d.name; });
        if (!in.is_string()) return bad("one of " + names);
        auto value = enum_of<T>(std::string_view(in.get_string()));
        if (!value) return bad("one of " + names);
        out = *value;
        return true;
    } else if constexpr (IsOptional<T>::value) {
        if (in.is_null()) {
            out.reset();
            return true;
        }
        typename T::value_type inner{};
        if (!read_json(in, inner, why, path, unknown)) return false;
        out = std::move(inner);
        return true;
    } else if constexpr (IsVector<T>::value) {
        if (!in.is_array()) return bad("a list");
        out.clear();
        for (const auto& e : in.get_array()) {
            typename T::value_type element{};
            if (!read_json(e, element, why, path + "[" + std::to_string(out.size()) + "]",
                           unknown)) {
                return false;
            }
            out.push_back(std::move(element));
        }
        return true;
    } else if constexpr (IsStringMap<T>::value) {
        if (!in.is_object()) return bad("an object");
        out.clear();
        for (const auto& kv : in.get_object()) {
            const std::string key(kv.key());
            if (!read_json(kv.value(), out[key], why, path + "." + key, unknown)) return false;
        }
        return true;
    } else {
        static_assert(Described<T>, "describe the struct with BOOST_DESCRIBE_STRUCT");
        if (!in.is_object()) return bad("an object");
        const json::object& o = in.get_object();
        bool good = true;
        std::size_t known = 0;
        boost::mp11::mp_for_each<MembersOf<T>>([&](auto d) {
            if (!good) return;
            auto& member = out.*d.pointer;
            const std::string at = path.empty() ? d.name : path + "." + d.name;
            const json::value* v = o.if_contains(d.name);
            if (v) {
                ++known;
                good = read_json(*v, member, why, at, unknown);
            } else if constexpr (!IsOptional<std::remove_cvref_t<decltype(member)>>::value &&
                                 !std::is_base_of_v<Defaulted, T>) {
                why = "field " + at + " is missing";
                good = false;
            }
        });
        if (good && unknown == Unknown::refuse && known != o.size()) {
            for (const auto& kv : o) {
                bool is_member = false;
                boost::mp11::mp_for_each<MembersOf<T>>(
                    [&](auto d) { is_member = is_member || kv.key() == d.name; });
                if (is_member) continue;
                why = "unknown key " + (path.empty() ? "" : path + ".") + std::string(kv.key());
                return false;
            }
        }
        return good;
    }
}

// `subject` says what is being read ("message drain", "manifest"), for the error.
template <class T>
Result<T> from_json(const json::value& in, const std::string& subject,
                    Unknown unknown = Unknown::pass) {
    T out{};
    std::string why;
    if (!read_json(in, out, why, "", unknown)) {
        return fail("reading " + subject, "", why, ErrorKind::protocol);
    }
    return out;
}

}  // namespace grl
