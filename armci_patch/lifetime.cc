// Init and finalize: join the step's agent after the library is up, leave before it goes down.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

#include "armci_patch/interposer.h"

using namespace grl;

namespace {

int g_inits = 0;  // GA initialises and finalises more than once; the outermost pair counts

void finish(void*) {
    PARMCI_AllFence();
    add(g_armci.gate.slot->completed, g_armci.outstanding.fenced_all());
}

// The cheapest call that makes Open MPI and MPICH poll their transports.
void progress(void*) {
    int flag = 0;
    PMPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
}

bool join(int ranks) {
    char why[256] = "";
    const char* path = secure_getenv(kAgentLibraryEnv);
    if (path == nullptr) path = "libgrl_agent.so";
    // Never unloaded: the gate's slow path and the agent's thread are in it.
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* entry = library != nullptr ? dlsym(library, kJoinSymbol) : nullptr;
    if (entry == nullptr) {
        const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
        std::snprintf(why, sizeof why, "%s", reason != nullptr ? reason : path);
    } else if (reinterpret_cast<JoinFunction*>(entry)(
                   &g_armci.gate, static_cast<std::uint32_t>(ranks), why, sizeof why) == 0) {
        return true;
    }
    std::fprintf(stderr, "grl: this rank is not protected: %s\n", why);
    return false;
}

int begin(int status, MPI_Comm comm) {
    if (status != 0 || g_inits++ != 0) return status;
    const int ranks = armci_msg_nproc();
    g_armci.outstanding.open(ranks);
    g_armci.gate.ops = {finish, progress, nullptr};
    int joined = secure_getenv(kLinePageEnv) != nullptr && join(ranks) ? 1 : 0;
    // All or none: a rank without an agent would leave the others' fences waiting for ever.
    int all_joined = 0;
    PMPI_Allreduce(&joined, &all_joined, 1, MPI_INT, MPI_MIN, comm);
    if (joined != 0 && all_joined == 0) g_armci.gate.leave(&g_armci.gate, false);
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
    g_armci.outstanding.close();
    return status;
}
