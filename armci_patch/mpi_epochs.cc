// What opens, completes and closes epochs: told to the registry of windows after it has returned.
#include "armci_patch/mpi_interposer.h"

using namespace grl;

namespace {

// Also inside another call: the window is what it is. `update` says how many operations are
// complete by it.
template <class Update>
int told(int status, Update update) {
    if (status == MPI_SUCCESS) g_mpi.end(update(windows()));
    return status;
}

}  // namespace

// `update` of the registry `w`, with the window's key `k`.
#define GRL_EPOCH(call, name, parameters, arguments, update)                          \
    GRL_MPI_FUNCTION(name, parameters, arguments) {                                   \
        const Windows::Key k = Windows::key(win);                                     \
        const MpiPass pass(CallClass::call);                                          \
        return told(g_real.name arguments, [&](const auto& w) { return w->update; }); \
    }

// clang-format off
GRL_EPOCH(completion, Win_flush, (int rank, MPI_Win win), (rank, win), flushed(k, rank))
GRL_EPOCH(completion, Win_flush_all, (MPI_Win win), (win), flushed_all(k))
GRL_EPOCH(completion, Win_flush_local, (int rank, MPI_Win win), (rank, win), flushed_local(k, rank))
GRL_EPOCH(completion, Win_flush_local_all, (MPI_Win win), (win), flushed_local_all(k))
GRL_EPOCH(waiting, Win_lock, (int type, int rank, int assert, MPI_Win win), (type, rank, assert, win), locked(k, rank))
GRL_EPOCH(waiting, Win_lock_all, (int assert, MPI_Win win), (assert, win), locked_all(k))
GRL_EPOCH(completion, Win_unlock, (int rank, MPI_Win win), (rank, win), unlocked(k, rank))
GRL_EPOCH(completion, Win_unlock_all, (MPI_Win win), (win), unlocked_all(k))
GRL_EPOCH(waiting, Win_fence, (int assert, MPI_Win win), (assert, win), flushed_all(k))
// Complete here only: the target has what was written when its Win_wait returns, so writes stay
// outstanding until the window's next fence, flush or end.
GRL_EPOCH(waiting, Win_complete, (MPI_Win win), (win), flushed_local_all(k))
// clang-format on

GRL_MPI_FUNCTION(Win_free, (MPI_Win * win), (win)) {
    const Windows::Key key = Windows::key(*win);  // free takes the handle away
    const MpiPass pass(CallClass::waiting);
    return told(g_real.Win_free(win), [&](const auto& w) { return w->freed(key); });
}
