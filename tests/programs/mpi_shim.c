/* A library between the program and MPI that asks the loader for the next MPI_Put. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

int MPI_Put(const void* a, int b, MPI_Datatype c, int d, MPI_Aint e, int f, MPI_Datatype g,
            MPI_Win h) {
    static int (*next)(const void*, int, MPI_Datatype, int, MPI_Aint, int, MPI_Datatype, MPI_Win);
    if (next == NULL) {
        *(void**)&next = dlsym(RTLD_NEXT, "MPI_Put");
        Dl_info object;
        if (next == NULL || dladdr(*(void**)&next, &object) == 0) return MPI_ERR_OTHER;
        const char* file = strrchr(object.dli_fname, '/');
        printf("next: %s\n", file != NULL ? file + 1 : object.dli_fname);
    }
    return next(a, b, c, d, e, f, g, h);
}
