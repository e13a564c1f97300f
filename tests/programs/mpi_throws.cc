// Puts in a loop, after a call that was left: the error handler of a receive that fails throws an
// exception, or jumps, and the program goes on. Prints the longest time between two puts, so that
// whoever held the job sees whether it stood still.
//
//   mpi_throws SECONDS [jump]
#include <mpi.h>
#include <unistd.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

struct Failed {
    int code;
};

bool g_jumps = false;
std::jmp_buf g_back;

void fail(MPI_Comm*, int* code, ...) {
    if (g_jumps) std::longjmp(g_back, 1);
    throw Failed{*code};
}

// Nobody has this rank number.
bool receive_fails(MPI_Comm comm, int nobody) {
    int value = 0;
    if (g_jumps) {
        if (setjmp(g_back) != 0) return true;
        MPI_Recv(&value, 1, MPI_INT, nobody, 0, comm, MPI_STATUS_IGNORE);
        return false;
    }
    try {
        MPI_Recv(&value, 1, MPI_INT, nobody, 0, comm, MPI_STATUS_IGNORE);
    } catch (const Failed&) {
        return true;
    }
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    const double seconds = argc > 1 ? std::atof(argv[1]) : 1;
    g_jumps = argc > 2 && std::strcmp(argv[2], "jump") == 0;
    MPI_Init(&argc, &argv);
    int rank = 0;
    int ranks = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    MPI_Comm comm = MPI_COMM_NULL;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
    MPI_Comm_create_errhandler(fail, &handler);
    MPI_Comm_set_errhandler(comm, handler);

    long* memory = nullptr;
    MPI_Win win = MPI_WIN_NULL;
    MPI_Win_allocate(sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &win);
    MPI_Win_lock_all(0, win);
    if (!receive_fails(comm, ranks + 1)) {
        std::fprintf(stderr, "the receive has not failed\n");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    // The first two make connections.
    double longest = 0;
    double last = MPI_Wtime();
    const double end = last + seconds;
    for (long i = 0; last < end; ++i) {
        MPI_Put(&i, 1, MPI_LONG, (rank + 1) % ranks, 0, 1, MPI_LONG, win);
        MPI_Win_flush((rank + 1) % ranks, win);
        const double now = MPI_Wtime();
        if (i > 1 && now - last > longest) longest = now - last;
        last = now;
        usleep(1000);
    }
    MPI_Win_unlock_all(win);
    double least = longest;
    MPI_Reduce(&longest, &least, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
    if (rank == 0) std::printf("left by %s; longest pause of any rank at least %.3f s\n",
                               g_jumps ? "a jump" : "an exception", least);
    MPI_Win_free(&win);
    MPI_Errhandler_free(&handler);
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return 0;
}
