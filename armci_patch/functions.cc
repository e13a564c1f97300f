// The wrappers that follow from the table alone.
#include "armci_patch/interposer.h"

using namespace grl;

#define GRL_ARMCI(kind, type, name, pname, parameters, arguments, target) \
    GRL_WRAP_##kind(type, name, pname, parameters, arguments, target)

#define GRL_WRAP_one_sided(type, name, pname, parameters, arguments, pass) \
    extern "C" type name parameters {                                      \
        pass;                                                              \
        return pname arguments;                                            \
    }

#define GRL_WRAP_put(type, name, pname, parameters, arguments, target) \
    GRL_WRAP_one_sided(type, name, pname, parameters, arguments, const PutPass pass(#name, target))
#define GRL_WRAP_nb_put GRL_WRAP_put
#define GRL_WRAP_get(type, name, pname, parameters, arguments, target) \
    GRL_WRAP_one_sided(type, name, pname, parameters, arguments, const GetPass pass(#name, target))
#define GRL_WRAP_rmw GRL_WRAP_get
#define GRL_WRAP_nb_get(type, name, pname, parameters, arguments, target) \
    GRL_WRAP_one_sided(type, name, pname, parameters, arguments,          \
                       const NbGetPass pass(#name, target, handle))
#define GRL_WRAP_collective(type, name, pname, parameters, arguments, target) \
    GRL_WRAP_one_sided(type, name, pname, parameters, arguments, const WaitingPass pass)
#define GRL_WRAP_completion(...)
#define GRL_WRAP_barrier(...)
#define GRL_WRAP_mutex(...)
#define GRL_WRAP_lifetime(...)
#define GRL_WRAP_local(...)

#include "armci_patch/armci_functions.def"
