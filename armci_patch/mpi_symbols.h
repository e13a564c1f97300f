// MPI's functions as dlsym() gives them. Who asks a library's own handle for MPI_Put, or for what comes
// after itself, would get MPI's past this library, and what it calls would go out in a silence. So
// this library has a dlsym() of its own, which gives the gated function for one of MPI's; any other
// question goes on to the C library's as it was asked. On x86-64 only: elsewhere such calls are unseen.
#pragma once

namespace grl {

// The C library's dlsym(), asked by this library.
void* real_symbol(void* library, const char* name);
// The start of the object that an address is in; null in none.
const void* object_of(const void* address);

}  // namespace grl
