/* A profiling library as programs are linked with: has the first names, counts, and calls the
 * second ones. */
#include <mpi.h>
#include <stdio.h>

static int locks, puts_, reductions;

int MPI_Win_lock(int type, int rank, int assert, MPI_Win win) {
    locks++;
    return PMPI_Win_lock(type, rank, assert, win);
}

int MPI_Put(const void* from, int count, MPI_Datatype type, int target, MPI_Aint at,
            int target_count, MPI_Datatype target_type, MPI_Win win) {
    puts_++;
    return PMPI_Put(from, count, type, target, at, target_count, target_type, win);
}

int MPI_Allreduce(const void* from, void* to, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm) {
    reductions++;
    return PMPI_Allreduce(from, to, count, type, op, comm);
}

int MPI_Finalize(void) {
    printf("locks %d puts %d reductions %d\n", locks, puts_, reductions);
    return PMPI_Finalize();
}
