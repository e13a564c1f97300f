// MPI's init and finalize: join the step's agent after the library is up, leave before it goes
// down.
#include <cstdio>
#include <cstdlib>

#include "armci_patch/join_step.h"
#include "armci_patch/mpi_interposer.h"

using namespace grl;

namespace grl {
constinit MpiInterposer g_mpi;
constinit BegunRma g_begun{};
}

namespace {

template <class Handle>
Handle handle_of(Windows::Key key) {
    return (Handle)key;  // NOLINT: pointer or number
}

// Where many threads call, another one may be about to end the epoch: what is outstanding is
// deferred.
void finish(void*) {
    if (g_mpi.gate.threaded) return;
    g_mpi.end(windows()->finish(
        [](Windows::Key win) { g_real.Win_flush_all(handle_of<MPI_Win>(win)); },
        [](Windows::Key win, int rank) { g_real.Win_flush(rank, handle_of<MPI_Win>(win)); }));
}

// Where many threads call, the last operation may be another thread's: then it stays deferred.
void abandoned(void*) {
    const BegunRma& last = g_begun;
    if (!g_mpi.gate.threaded) windows()->began(Windows::write, Windows::key(last.win), last.target);
}

void progress(void*) {
    int flag = 0;
    g_real.Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, g_real.world, &flag, MPI_STATUS_IGNORE);
}

// A wrapper may have taken the library from some ranks: before a collective of ours all must know
// that all have it.
bool announce() {
    if (g_real.whole) return announce_step();
    if (secure_getenv(kLinePageEnv) != nullptr)
        std::fprintf(stderr, "grl: this rank is not protected: libgrl_mpi.so is not for its MPI\n");
    return false;
}

// MPI is up.
void join() {
    int ranks = 0;
    int level = MPI_THREAD_SINGLE;
    g_real.Comm_size(g_real.world, &ranks);
    g_real.Query_thread(&level);
    windows()->open(ranks);
    g_mpi.gate.ops = {finish, progress, nullptr, abandoned};
    join_step_together(g_mpi.gate, ranks, level == MPI_THREAD_MULTIPLE, [](int mine) {
        int least = 0;
        g_real.Allreduce(&mine, &least, 1, g_real.integer, g_real.minimum, g_real.world);
        return least;
    });
}

int begin(bool announced, int status) {
    if (announced) status == MPI_SUCCESS ? join() : retract_step();
    return status;
}

}  // namespace

GRL_MPI_FUNCTION(Init, (int* argc, char*** argv), (argc, argv)) {
    const bool announced = announce();
    return begin(announced, g_real.Init(argc, argv));
}

GRL_MPI_FUNCTION(Init_thread, (int* argc, char*** argv, int required, int* provided),
                 (argc, argv, required, provided)) {
    const bool announced = announce();
    return begin(announced, g_real.Init_thread(argc, argv, required, provided));
}

GRL_MPI_FUNCTION(Finalize, (void), ()) {
    if (g_mpi.gate.leave != nullptr) {
        {
            const MpiPass pass(CallClass::waiting);
            g_real.Barrier(g_real.world);  // all ranks are here before any leaves
        }
        g_mpi.gate.leave(&g_mpi.gate, true);
    }
    windows()->close();
    return g_real.Finalize();
}
