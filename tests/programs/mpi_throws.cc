// Puts in a loop, after a call that was left: the error handler of a receive that fails throws an
// exception, or jumps, and the program goes on. Or from inside one: a reduction's operation puts.
// Or by functions that the loader was asked for, with a handle of the library.
// Prints the longest time between two puts, so that whoever held the job sees whether it stood still.
//
//   mpi_throws SECONDS [jump|callback|asked]
#include <dlfcn.h>
#include <mpi.h>
#include <unistd.h>

#include <csetjmp>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

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

MPI_Win g_win = MPI_WIN_NULL;
decltype(&MPI_Put) g_put = MPI_Put;
decltype(&MPI_Win_flush) g_flush = MPI_Win_flush;
int g_next = 0;
double g_seconds = 0;
double g_longest = -1;  // no puts yet
double g_began = 0;     // of the puts

// Open MPI's MPI_Wtime begins at each rank's first call.
double machine_seconds() {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

void put_for_a_while() {
    g_began = machine_seconds();
    double last = MPI_Wtime();
    const double end = last + g_seconds;
    for (long i = 0; last < end; ++i) {
        g_put(&i, 1, MPI_LONG, g_next, 0, 1, MPI_LONG, g_win);
        g_flush(g_next, g_win);
        const double now = MPI_Wtime();
        // The first two make connections.
        if (i > 1 && now - last > g_longest) g_longest = now - last;
        last = now;
        usleep(1000);
    }
}

// Of those ranks that MPI calls it on, and once on each.
void reduction(void*, void*, int*, MPI_Datatype*) {
    if (g_longest < 0) put_for_a_while();
}

}  // namespace

int main(int argc, char** argv) {
    g_seconds = argc > 1 ? std::atof(argv[1]) : 1;
    const std::string what = argc > 2 ? argv[2] : "throw";
    g_jumps = what == "jump";
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
    MPI_Win_allocate(sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &g_win);
    MPI_Win_lock_all(0, g_win);
    g_next = (rank + 1) % ranks;
    if (what == "asked") {
        void* library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) MPI_Abort(MPI_COMM_WORLD, 1);
        g_put = reinterpret_cast<decltype(g_put)>(dlsym(library, "MPI_Put"));
        g_flush = reinterpret_cast<decltype(g_flush)>(dlsym(library, "MPI_Win_flush"));
        put_for_a_while();
    } else if (what == "callback") {
        MPI_Op op = MPI_OP_NULL;
        MPI_Op_create(reduction, 1, &op);
        int one = 1;
        int sum = 0;
        MPI_Allreduce(&one, &sum, 1, MPI_INT, op, MPI_COMM_WORLD);
        MPI_Op_free(&op);
    } else {
        if (!receive_fails(comm, ranks + 1)) {
            std::fprintf(stderr, "the receive has not failed\n");
            MPI_Abort(MPI_COMM_WORLD, 1);
        }
        put_for_a_while();
    }
    MPI_Win_unlock_all(g_win);
    // A reduction may reach a rank only when another is through with its puts: such a one was not held
    // in the midst of them. The ranks' clocks are one, as their nodes are on one machine.
    double earliest = g_longest < 0 ? 1e300 : g_began;
    MPI_Allreduce(MPI_IN_PLACE, &earliest, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
    const bool in_time = g_longest >= 0 && g_began < earliest + g_seconds / 2;
    double mine = in_time ? g_longest : 1e9;
    double least = mine;
    MPI_Reduce(&mine, &least, 1, MPI_DOUBLE, MPI_MIN, 0, MPI_COMM_WORLD);
    if (rank == 0) std::printf("%s: longest pause of any rank at least %.3f s\n", what.c_str(), least);
    MPI_Win_free(&g_win);
    MPI_Errhandler_free(&handler);
    MPI_Comm_free(&comm);
    MPI_Finalize();
    return 0;
}
