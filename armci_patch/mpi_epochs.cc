// What opens, completes and closes epochs: told to the registry of windows after it has returned.
#include "armci_patch/mpi_interposer.h"

using namespace grl;

namespace {

// A call that completes operations, by itself or because peers act.
class CompletingPass : public MpiPass {
  public:
    explicit CompletingPass(CallClass call) : MpiPass(call) {}
    // `update` changes the registry and says how many operations are complete by that.
    template <class Update>
    int done(int status, Update update) const {
        // Also inside another call: the window is what it is.
        if (status == MPI_SUCCESS) {
            const auto registry = windows();
            const std::uint64_t completed = update(*registry.operator->());
            if (completed != 0) count(g_mpi.gate, g_mpi.gate.slot->completed, completed);
        }
        return status;
    }
};

}  // namespace

GRL_MPI_FUNCTION(Win_flush, (int rank, MPI_Win win)) {
    GRL_MPI_FIND(Win_flush);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_flush(rank, win),
                     [&](Windows& w) { return w.flushed(Windows::key(win), rank); });
}

GRL_MPI_FUNCTION(Win_flush_all, (MPI_Win win)) {
    GRL_MPI_FIND(Win_flush_all);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_flush_all(win),
                     [&](Windows& w) { return w.flushed_all(Windows::key(win)); });
}

GRL_MPI_FUNCTION(Win_flush_local, (int rank, MPI_Win win)) {
    GRL_MPI_FIND(Win_flush_local);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_flush_local(rank, win),
                     [&](Windows& w) { return w.flushed_local(Windows::key(win), rank); });
}

GRL_MPI_FUNCTION(Win_flush_local_all, (MPI_Win win)) {
    GRL_MPI_FIND(Win_flush_local_all);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_flush_local_all(win),
                     [&](Windows& w) { return w.flushed_local_all(Windows::key(win)); });
}

GRL_MPI_FUNCTION(Win_lock, (int lock_type, int rank, int assert, MPI_Win win)) {
    GRL_MPI_FIND(Win_lock);
    const CompletingPass pass(CallClass::waiting);
    return pass.done(g_real.Win_lock(lock_type, rank, assert, win), [&](Windows& w) {
        w.locked(Windows::key(win), rank);
        return 0U;
    });
}

GRL_MPI_FUNCTION(Win_lock_all, (int assert, MPI_Win win)) {
    GRL_MPI_FIND(Win_lock_all);
    const CompletingPass pass(CallClass::waiting);
    return pass.done(g_real.Win_lock_all(assert, win), [&](Windows& w) {
        w.locked_all(Windows::key(win));
        return 0U;
    });
}

GRL_MPI_FUNCTION(Win_unlock, (int rank, MPI_Win win)) {
    GRL_MPI_FIND(Win_unlock);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_unlock(rank, win),
                     [&](Windows& w) { return w.unlocked(Windows::key(win), rank); });
}

GRL_MPI_FUNCTION(Win_unlock_all, (MPI_Win win)) {
    GRL_MPI_FIND(Win_unlock_all);
    const CompletingPass pass(CallClass::completion);
    return pass.done(g_real.Win_unlock_all(win),
                     [&](Windows& w) { return w.unlocked_all(Windows::key(win)); });
}

GRL_MPI_FUNCTION(Win_fence, (int assert, MPI_Win win)) {
    GRL_MPI_FIND(Win_fence);
    const CompletingPass pass(CallClass::waiting);
    return pass.done(g_real.Win_fence(assert, win),
                     [&](Windows& w) { return w.flushed_all(Windows::key(win)); });
}

// Complete here only: the target has what was written when its Win_wait returns, so writes stay
// outstanding until the window's next fence, flush or end.
GRL_MPI_FUNCTION(Win_complete, (MPI_Win win)) {
    GRL_MPI_FIND(Win_complete);
    const CompletingPass pass(CallClass::waiting);
    return pass.done(g_real.Win_complete(win),
                     [&](Windows& w) { return w.flushed_local_all(Windows::key(win)); });
}

GRL_MPI_FUNCTION(Win_free, (MPI_Win * win)) {
    GRL_MPI_FIND(Win_free);
    const std::uintptr_t key = Windows::key(*win);
    const CompletingPass pass(CallClass::waiting);
    return pass.done(g_real.Win_free(win), [&](Windows& w) { return w.freed(key); });
}
