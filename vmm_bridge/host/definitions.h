// The guests this host may run: one file NAME.toml each in the guest directory. Blocking reads of
// small files; any thread.
//
// What a VMM must know of a guest stands in a section of the VMM's name. Here that is JSON that
// passes through; only the VMM's own folder knows its keys (qemu/section.h, xen/section.h). A
// section is complete in every definition that is loaded: each key of it is there, in the order of
// its struct, so that a definition's digest does not depend on which defaults were written down.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "grl/base/json.h"

namespace grl::bridge {

struct GuestDefinition : Defaulted {
    std::string name;
    std::string address;  // the Slurm node's, on the cluster network
    std::string driver = "qemu";
    std::uint64_t memory_mib = 0;
    std::uint32_t vcpus = 1;
    std::uint32_t adapters = 0;  // how many of its host's are passed through to it
    json::object qemu;
    json::object xen;
};
BOOST_DESCRIBE_STRUCT(GuestDefinition, (),
                      (name, address, driver, memory_mib, vcpus, adapters, qemu, xen))

// A section as its VMM's struct. `name` is its key, for the error.
template <class Section>
Result<Section> read_section(const json::object& section, const std::string& name,
                             Unknown unknown = Unknown::pass) {
    Section read;
    JsonReading reading{unknown, {}};
    if (Json<Section>::read(json::value(section), &read, reading, name)) return read;
    return fail("reading configuration", "", reading.why, ErrorKind::usage);
}

template <class Section>
Result<void> complete_section(json::object& section, const std::string& name, Unknown unknown) {
    Result<Section> read = read_section<Section>(section, name, unknown);
    if (!read) return read.error();
    section = to_json(*read).as_object();
    return {};
}

// Completes the sections of all VMMs (drivers.h); an unknown key in one is an error.
using CompleteSections = std::function<Result<void>(GuestDefinition&)>;

// A definition as its file has it, whatever that is called.
Result<GuestDefinition> load_guest_definition(const std::string& path,
                                              const CompleteSections& complete);

// All good definitions for `driver`, by name. A bad file is logged and left out: it must not keep
// the other guests from being managed.
std::vector<GuestDefinition> load_definitions(const std::string& directory,
                                              const std::string& driver,
                                              const CompleteSections& complete);

// One of them; not_found or what is wrong with it.
Result<GuestDefinition> load_definition(const std::string& directory, const std::string& driver,
                                        const std::string& name, const CompleteSections& complete);

// XXH3-128 over its canonical JSON. Hosts with equal digests may swap the guest.
std::string definition_digest(const GuestDefinition& definition);

}  // namespace grl::bridge
