// The MPI library behind the preload: its PMPI functions, found when MPI is initialised, since the
// preload is in every process of a step and most are no MPI programs.
#pragma once

#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1

#pragma GCC visibility push(default)
#include <mpi.h>
#pragma GCC visibility pop

namespace grl {

struct MpiFunctions {
// NOLINTNEXTLINE(bugprone-macro-parentheses): it declares
#define GRL_MPI(kind, name, parameters, arguments) decltype(&::MPI_##name) name;
#include "armci_patch/mpi_functions.def"
#undef GRL_MPI
};

struct RealMpi : MpiFunctions {
    decltype(&::MPI_Comm_size) Comm_size;
    decltype(&::MPI_Query_thread) Query_thread;
    MPI_Comm world;
    MPI_Datatype integer;
    MPI_Op minimum;
    bool whole;  // this library was compiled for it, and nothing is missing
};

extern RealMpi g_real;
// The first names where they are of another library than the second ones: a profiler's. Else null.
extern MpiFunctions g_profiler;

// Finds it from the code at `caller`, which knows its MPI. Ends the process with one line when
// there is none: the call could not be answered.
void find_real_mpi(const void* caller);
// Finds it in a library that has it, by its handle.
void find_real_mpi_in(void* library);

}  // namespace grl
