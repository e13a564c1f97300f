// What the preload's gate costs a call: MPI's one-sided operations, each with its flush, through
// the preload and straight to the MPI library, in pairs. Rank 0 calls, the last rank is the target.
// JSON objects as armci_bench's.
//   mpi_bench [SAMPLES]
#include "tests/bench/paired.h"

#include <dlfcn.h>
#include <mpi.h>

enum { kMost = 1 << 20, kOperations = 4 };

static const char* const names[kOperations] = {"MPI_Put", "MPI_Get", "MPI_Accumulate",
                                               "MPI_Fetch_and_op"};
static int (*puts_[2])(const void*, int, MPI_Datatype, int, MPI_Aint, int, MPI_Datatype, MPI_Win);
static int (*gets_[2])(void*, int, MPI_Datatype, int, MPI_Aint, int, MPI_Datatype, MPI_Win);
static int (*accumulates[2])(const void*, int, MPI_Datatype, int, MPI_Aint, int, MPI_Datatype,
                             MPI_Op, MPI_Win);
static int (*fetches[2])(const void*, void*, MPI_Datatype, int, MPI_Aint, MPI_Op, MPI_Win);
static int (*flushes[2])(int, MPI_Win);
static char* local;
static int target;
static MPI_Win win;

static double once(int operation, int bytes, int gated) {
    long old = 0;
    const double began = now_us();
    switch (operation) {
        case 0:
            puts_[gated](local, bytes, MPI_BYTE, target, 0, bytes, MPI_BYTE, win);
            break;
        case 1:
            gets_[gated](local, bytes, MPI_BYTE, target, 0, bytes, MPI_BYTE, win);
            break;
        case 2:
            accumulates[gated](local, bytes / 8, MPI_DOUBLE, target, 0, bytes / 8, MPI_DOUBLE,
                               MPI_SUM, win);
            break;
        default:
            fetches[gated](local, &old, MPI_LONG, target, 0, MPI_SUM, win);
            break;
    }
    flushes[gated](target, win);
    return now_us() - began;
}

// Of what the process loads first, or of the library itself.
static void find(void* library, int gated) {
    *(void**)&puts_[gated] = dlsym(library, "PMPI_Put");
    *(void**)&gets_[gated] = dlsym(library, "PMPI_Get");
    *(void**)&accumulates[gated] = dlsym(library, "PMPI_Accumulate");
    *(void**)&fetches[gated] = dlsym(library, "PMPI_Fetch_and_op");
    *(void**)&flushes[gated] = dlsym(library, "PMPI_Win_flush");
}

int main(int argc, char* argv[]) {
    static const int sizes[] = {8, 512, 8192, 131072, kMost};
    const int samples = argc > 1 ? atoi(argv[1]) : 100;
    int rank = 0, ranks = 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    void* library = dlopen("libmpi.so.40", RTLD_LAZY | RTLD_NOLOAD);
    if (library == NULL) {
        fprintf(stderr, "mpi_bench: this is not Open MPI\n");
        return 1;
    }
    find(library, 0);
    find(RTLD_DEFAULT, 1);
    target = ranks - 1;
    local = calloc(1, kMost);
    void* window;
    MPI_Win_allocate(kMost, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window, &win);
    MPI_Win_lock_all(0, win);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        for (int operation = 0; operation < kOperations; operation++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                if (operation != 3 || s == 0)
                    measure_pairs(names[operation], operation, sizes[s], samples, once);
    }
    MPI_Barrier(MPI_COMM_WORLD);  // the target makes progress here
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
    MPI_Finalize();
    return 0;
}
