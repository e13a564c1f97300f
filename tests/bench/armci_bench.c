// What the gate costs a call: every operation by its public name, which passes the gate, and by its
// second name, which does not (as long as MPI has no gate, mpi=none), in pairs. Rank 0 calls, the
// last rank is the target. One JSON object a row: operation, bytes, microseconds of each sample
// both ways.
//   armci_bench [SAMPLES]
#include <armci.h>
#include <mpi.h>

#include "tests/bench/paired.h"

extern int PARMCI_Put(void*, void*, int, int);
extern int PARMCI_Get(void*, void*, int, int);
extern int PARMCI_Acc(int, void*, void*, void*, int, int);
extern int PARMCI_Rmw(int, void*, void*, int, int);
extern void PARMCI_Fence(int);

enum { kMost = 1 << 20, kOperations = 4 };

static const char* const names[kOperations] = {"put", "get", "acc", "rmw"};
static void** bases;
static char* local;
static int target;

static double once(int operation, int bytes, int gated) {
    double scale = 1;
    long old = 0;
    void* remote = bases[target];
    const double began = now_us();
    switch (operation) {
        case 0:
            (gated ? ARMCI_Put : PARMCI_Put)(local, remote, bytes, target);
            (gated ? ARMCI_Fence : PARMCI_Fence)(target);
            break;
        case 1:
            (gated ? ARMCI_Get : PARMCI_Get)(remote, local, bytes, target);
            break;
        case 2:
            (gated ? ARMCI_Acc : PARMCI_Acc)(ARMCI_ACC_DBL, &scale, local, remote, bytes, target);
            (gated ? ARMCI_Fence : PARMCI_Fence)(target);
            break;
        default:
            (gated ? ARMCI_Rmw : PARMCI_Rmw)(ARMCI_FETCH_AND_ADD_LONG, &old, remote, 1, target);
            break;
    }
    return now_us() - began;
}

int main(int argc, char* argv[]) {
    static const int sizes[] = {8, 512, 8192, 131072, kMost};
    const int samples = argc > 1 ? atoi(argv[1]) : 100;
    int rank = 0, ranks = 0;
    MPI_Init(&argc, &argv);
    ARMCI_Init();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    target = ranks - 1;
    bases = calloc((size_t)ranks, sizeof *bases);
    ARMCI_Malloc(bases, kMost);
    local = calloc(1, kMost);
    ARMCI_Barrier();
    if (rank == 0) {
        for (int operation = 0; operation < kOperations; operation++)
            for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
                if (operation != 3 || s == 0)
                    measure_pairs(names[operation], operation, sizes[s], samples, once);
    }
    MPI_Barrier(MPI_COMM_WORLD);  // the target makes progress here
    ARMCI_Barrier();
    ARMCI_Free(bases[rank]);
    ARMCI_Finalize();
    MPI_Finalize();
    return 0;
}
