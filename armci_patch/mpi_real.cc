#include "armci_patch/mpi_real.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace grl {

constinit RealMpi g_real{};

namespace {

constexpr const char* kFirst = "PMPI_Init";

// In the global scope after this library; else, as where python has loaded MPI, among what the
// caller's own object depends on.
void* library_of(const void* caller) {
    if (dlsym(RTLD_NEXT, kFirst) != nullptr) return RTLD_NEXT;
    Dl_info object{};
    if (dladdr(caller, &object) == 0) return nullptr;
    void* handle = dlopen(object.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    return handle != nullptr && dlsym(handle, kFirst) != nullptr ? handle : nullptr;
}

template <class Function>
bool find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(library, name));
    return function != nullptr;
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
    bool whole = find_constants(library);
#define GRL_MPI(kind, name, parameters, arguments) \
    whole = find(library, "PMPI_" #name, g_real.name) && whole;
#include "armci_patch/mpi_functions.def"
#undef GRL_MPI
    whole = find(library, "PMPI_Comm_size", g_real.Comm_size) && whole;
    whole = find(library, "PMPI_Query_thread", g_real.Query_thread) && whole;
    g_real.whole = whole;
}

}  // namespace grl
