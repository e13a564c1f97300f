// The ARMCI library as C++ sees it. Its names keep default visibility: ours take their place.
#pragma once

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1

#pragma GCC visibility push(default)
extern "C" {
#include <armci.h>
}
#pragma GCC visibility pop
