// The wrappers that follow from the table alone.
#include "armci_patch/mpi_interposer.h"

using namespace grl;

#define GRL_WRAP(name, parameters, arguments, pass) \
    GRL_MPI_FUNCTION(name, parameters, arguments) { \
        pass;                                       \
        return g_real.name arguments;               \
    }

#define GRL_WRAP_write(name, parameters, arguments) \
    GRL_WRAP(name, parameters, arguments,           \
             const RmaPass pass("MPI_" #name, Windows::write, win, target))
#define GRL_WRAP_read(name, parameters, arguments) \
    GRL_WRAP(name, parameters, arguments,          \
             const RmaPass pass("MPI_" #name, Windows::read, win, target))
#define GRL_WRAP_waiting(name, parameters, arguments) \
    GRL_WRAP(name, parameters, arguments, const MpiPass pass(CallClass::waiting))
#define GRL_WRAP_local(name, parameters, arguments) \
    GRL_WRAP(name, parameters, arguments, const MpiPass pass(CallClass::local))
#define GRL_WRAP_by_hand(name, parameters, arguments)

#define GRL_MPI(kind, name, parameters, arguments) GRL_WRAP_##kind(name, parameters, arguments)
#include "armci_patch/mpi_functions.def"
