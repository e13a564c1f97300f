// The wrappers of functions without a P-name that follow from the table alone, and the symbol that
// brings all wrappers into a program.
#include "armci_patch/wrapped.h"

#include "armci_patch/interposer.h"

using namespace grl;

#define GRL_WRAP_collective(type, name, parameters, arguments) \
    extern "C" type __wrap_##name parameters {                 \
        const WaitingPass pass;                                \
        return __real_##name arguments;                        \
    }
#define GRL_WRAP_message GRL_WRAP_collective
#define GRL_WRAP_mutex(...)

#define GRL_ARMCI_WRAP(kind, type, name, parameters, arguments) \
    GRL_WRAP_##kind(type, name, parameters, arguments)
#include "armci_patch/armci_functions.def"

// grl-config has the linker ask for this symbol. With it in the program every wrapper is, and being
// strong takes the place of the library's weak one, whichever archive stands first.
#define GRL_REFER(name) reinterpret_cast<void (*)()>(name),
#define GRL_REFER_local(name)
#define GRL_REFER_put GRL_REFER
#define GRL_REFER_nb_put GRL_REFER
#define GRL_REFER_get GRL_REFER
#define GRL_REFER_rmw GRL_REFER
#define GRL_REFER_nb_get GRL_REFER
#define GRL_REFER_completion GRL_REFER
#define GRL_REFER_barrier GRL_REFER
#define GRL_REFER_collective GRL_REFER
#define GRL_REFER_mutex GRL_REFER
#define GRL_REFER_lifetime GRL_REFER

#define GRL_ARMCI(kind, type, name, pname, parameters, arguments, target) GRL_REFER_##kind(name)
#define GRL_ARMCI_WRAP(kind, type, name, parameters, arguments) GRL_REFER(__wrap_##name)

extern "C" {
extern void (*const grl_armci[])();
void (*const grl_armci[])() = {
#include "armci_patch/armci_functions.def"
};
}
