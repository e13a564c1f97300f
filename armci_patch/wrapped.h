// What the linker's --wrap makes of a function: callers get __wrap_NAME, and __real_NAME is the
// library's own.
#pragma once

#include "armci_patch/library.h"

extern "C" {
#include <armcix.h>

// NOLINTBEGIN(bugprone-reserved-identifier): the linker's names
#define GRL_ARMCI_WRAP(kind, type, name, parameters, arguments) \
    type __real_##name parameters;                              \
    type __wrap_##name parameters;
#include "armci_patch/armci_functions.def"
// NOLINTEND(bugprone-reserved-identifier)
}
