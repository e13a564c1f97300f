#include "armci_patch/interposer.h"

namespace grl {

constinit Interposer g_armci;

}  // namespace grl
