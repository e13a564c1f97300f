// The guests this host may run: one file NAME.toml each in the guest directory. Blocking reads of
// small files; any thread.
#pragma once

#include <string>
#include <vector>

#include "grl/base/config.h"
#include "grl/base/result.h"

namespace grl::bridge {

// All good definitions for `driver`, by name. A bad file is logged and left out: it must not keep
// the other guests from being managed.
std::vector<GuestDefinition> load_definitions(const std::string& directory,
                                              const std::string& driver);

// One of them; not_found or what is wrong with it.
Result<GuestDefinition> load_definition(const std::string& directory, const std::string& driver,
                                        const std::string& name);

// XXH3-128 over its canonical JSON. Hosts with equal digests may swap the guest.
std::string definition_digest(const GuestDefinition& definition);

}  // namespace grl::bridge
