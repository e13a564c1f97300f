#include "armci_patch/mpi_real.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "armci_patch/mpi_symbols.h"

namespace grl {

constinit RealMpi g_real{};
constinit MpiFunctions g_profiler{};

namespace {

// A serial program's stub of MPI has the first names only.
bool knows_mpi(void* library) {
    return real_symbol(library, "PMPI_Init") != nullptr ||
           real_symbol(library, "MPI_Init") != nullptr;
}

// In the global scope after this library; else, as where python has loaded MPI, among what the
// caller's own object depends on.
void* library_of(const void* caller) {
    if (knows_mpi(RTLD_NEXT)) return RTLD_NEXT;
    Dl_info object{};
    if (dladdr(caller, &object) == 0) return nullptr;
    void* handle = dlopen(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return handle != nullptr && knows_mpi(handle) ? handle : nullptr;
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(real_symbol(library, name));
    return function != nullptr;
}

// False where it has the first name only, or none: then it is none that could be drained.
template <class Function>
bool find_mpi(void* library, const char* second_name, Function& function) {
    return find(library, second_name, function) ||
           (find(library, second_name + 1, function), false);
}

// That of a profiler, if there is one between this library and MPI's own.
template <class Function>
Function profiler_of(void* library, const char* first_name, Function real) {
    Function first = nullptr;
    if (real == nullptr || !find(library, first_name, first)) return nullptr;
    const bool same = object_of(reinterpret_cast<const void*>(first)) ==
                      object_of(reinterpret_cast<const void*>(real));
    return same ? nullptr : first;
}

// Open MPI's constants are addresses in its library, which this one must not ask the loader for; or
// in the program, where that was linked with copies.
bool find_constants(void* library) {
#ifdef OPEN_MPI
    if (library == RTLD_NEXT) library = RTLD_DEFAULT;
    return find(library, "ompi_mpi_comm_world", g_real.world) &&
           find(library, "ompi_mpi_int", g_real.integer) &&
           find(library, "ompi_mpi_op_min", g_real.minimum);
#else
    g_real.world = MPI_COMM_WORLD;
    g_real.integer = MPI_INT;
    g_real.minimum = MPI_MIN;
    return library != nullptr;
#endif
}

}  // namespace

void find_real_mpi(const void* caller) {
    void* library = library_of(caller);
    if (library == nullptr) {
        std::fprintf(stderr, "grl: no MPI library is behind libgrl_mpi.so in this process\n");
        std::abort();
    }
    find_real_mpi_in(library);
}

void find_real_mpi_in(void* library) {
    bool whole = find_constants(library);
    // The profilers first: other threads go by what is found in g_real.
#define GRL_MPI(kind, name, parameters, arguments)                                            \
    {                                                                                         \
        decltype(g_real.name) real = nullptr;                                                 \
        whole = find_mpi(library, "PMPI_" #name, real) && whole;                              \
        if (library == RTLD_NEXT) g_profiler.name = profiler_of(library, "MPI_" #name, real); \
        g_real.name = real;                                                                   \
    }
#include "armci_patch/mpi_functions.def"
#undef GRL_MPI
    whole = find_mpi(library, "PMPI_Comm_size", g_real.Comm_size) && whole;
    whole = find_mpi(library, "PMPI_Query_thread", g_real.Query_thread) && whole;
    g_real.whole = whole;
}

}  // namespace grl
