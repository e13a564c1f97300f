/* Calls that a profiling library counts, and one that it does not know. */
#include <mpi.h>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    int memory = 0, one = 1, sum = 0;
    MPI_Win win;
    MPI_Win_create(&memory, sizeof memory, 1, MPI_INFO_NULL, MPI_COMM_SELF, &win);
    for (int i = 0; i < 2; i++) {
        MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win);
        MPI_Put(&one, 1, MPI_INT, 0, 0, 1, MPI_INT, win);
        MPI_Win_unlock(0, win);
    }
    MPI_Allreduce(&memory, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_SELF);
    MPI_Win_free(&win);
    MPI_Finalize();
    return sum == 1 ? 0 : 1;
}
