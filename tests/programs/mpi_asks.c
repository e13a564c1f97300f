/* A program that asks the loader for MPI's functions by a handle of its own, as python's ctypes does,
 * and calls what it is given. Prints the library that each is of. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static void* asked(void* library, const char* name) {
    void* function = dlsym(library, name);
    Dl_info object;
    if (function == NULL || dladdr(function, &object) == 0) {
        printf("%s: none\n", name);
        return NULL;
    }
    const char* file = strrchr(object.dli_fname, '/');
    printf("%s: %s\n", name, file != NULL ? file + 1 : object.dli_fname);
    return function;
}

int main(int argc, char** argv) {
    if (argc < 2) return 1;
    void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return 2;
    int (*init)(int*, char***) = asked(library, "MPI_Init");
    asked(library, "PMPI_Put");
    asked(library, "MPI_Put");
    asked(library, "MPI_Get_version");
    int (*finalize)(void) = asked(library, "MPI_Finalize");
    if (init == NULL || finalize == NULL) return 3;
    return init(&argc, &argv) != 0 || finalize() != 0;
}
