// Init and finalize: join the step's agent after the library is up, leave before it goes down.
#include "armci_patch/interposer.h"
#include "armci_patch/join_step.h"

using namespace grl;

namespace {

int g_inits = 0;  // GA initialises and finalises more than once; the outermost pair counts

void finish(void*) {
    PARMCI_AllFence();
    g_armci.end(outstanding()->fenced_all());
}

// What a call that was left has begun is complete when all is.
void abandoned(void*) {
    outstanding()->wrote(-1);
}

// The cheapest call that makes Open MPI and MPICH poll their transports.
void progress(void*) {
    int flag = 0;
    PMPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
}

int begin(int status, MPI_Comm comm) {
    if (status != 0 || g_inits++ != 0) return status;
    const int ranks = armci_msg_nproc();
    outstanding()->open(ranks);
    g_armci.gate.ops = {finish, progress, nullptr, abandoned};
    int level = MPI_THREAD_SINGLE;
    MPI_Query_thread(&level);
    join_step_together(g_armci.gate, ranks, level == MPI_THREAD_MULTIPLE, [comm](int mine) {
        int least = 0;
        PMPI_Allreduce(&mine, &least, 1, MPI_INT, MPI_MIN, comm);
        return least;
    });
    return status;
}

}  // namespace

extern "C" int ARMCI_Init(void) {
    return begin(PARMCI_Init(), MPI_COMM_WORLD);
}

extern "C" int ARMCI_Init_args(int* argc, char*** argv) {
    return begin(PARMCI_Init_args(argc, argv), MPI_COMM_WORLD);
}

extern "C" int ARMCI_Init_thread(int level) {
    return begin(PARMCI_Init_thread(level), MPI_COMM_WORLD);
}

extern "C" int ARMCI_Init_thread_comm(int level, MPI_Comm comm) {
    return begin(PARMCI_Init_thread_comm(level, comm), comm);
}

extern "C" int ARMCI_Finalize(void) {
    if (g_inits == 0 || --g_inits != 0) return PARMCI_Finalize();
    if (g_armci.gate.leave != nullptr) {
        ARMCI_Barrier();  // all ranks are here, and their transports empty, before any leaves
        g_armci.gate.leave(&g_armci.gate, true);
    }
    const int status = PARMCI_Finalize();
    outstanding()->close();
    return status;
}
