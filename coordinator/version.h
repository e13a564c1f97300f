// This release, as reports and manifests name it.
#pragma once

#include <config.h>  // configure's; this folder has another

namespace grl::coordinator {

inline constexpr const char* kVersion = GRL_VERSION;

}  // namespace grl::coordinator
