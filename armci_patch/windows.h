// Which one-sided operations of MPI are outstanding, by window and target, and what may be flushed
// without the application: windows in a passive-target epoch. Counts are never too low: what a call
// on a request or an active-target epoch completes stays outstanding until the epoch ends.
//
// For one thread at a time. Private memory of the process; without memory it forgets, and
// operations it has not noted stay outstanding in the gate's sum, which is deferred then.
#pragma once

#include <cstddef>
#include <cstdint>

namespace grl {

class Windows {
  public:
    enum Sort { write, read };
    using Key = std::uintptr_t;

    // A handle as MPI libraries have them, pointer or number.
    template <class Handle>
    static Key key(Handle handle) {
        return (Key)handle;  // NOLINT: either cast
    }

    // Before the first operation. `ranks`: the highest target and one; a further one is not told
    // from others out of range.
    void open(int ranks);
    void close();

    void began(Sort sort, Key window, int target);

    // Each returns how many operations are complete by it; of these two, none.
    std::uint64_t locked(Key window, int target);
    std::uint64_t locked_all(Key window);
    std::uint64_t flushed(Key window, int target);
    std::uint64_t flushed_all(Key window);
    std::uint64_t flushed_local(Key window, int target);  // reads: their values have arrived
    std::uint64_t flushed_local_all(Key window);
    std::uint64_t unlocked(Key window, int target);
    std::uint64_t unlocked_all(Key window);
    std::uint64_t freed(Key window);

    // Calls flush_all(window) and flush(window, target) for what is outstanding in passive epochs,
    // and returns how many operations are complete by it.
    template <class FlushAll, class Flush>
    std::uint64_t finish(FlushAll flush_all, Flush flush) {
        std::uint64_t completed = 0;
        for (std::size_t i = 0; i < capacity_; ++i) {
            Window& w = table_[i];
            if (w.key == 0 || w.outstanding == 0) continue;
            if (w.all_locked) {
                flush_all(w.key);
                completed += take_all(w);
                continue;
            }
            for (int target = 0; w.locks != 0 && target < ranks_; ++target) {
                Peer& peer = w.peers[target];
                if (peer.locked == 0 || (peer.writes | peer.reads) == 0) continue;
                flush(w.key, target);
                completed += take(w, peer);
            }
        }
        return completed;
    }

  private:
    struct Peer {
        std::uint32_t writes;
        std::uint32_t reads;
        std::uint32_t locked;
    };
    struct Window {
        Key key;
        Peer*
            peers;  // [ranks_ + 1], the last for targets out of range; pages untouched cost nothing
        std::uint64_t outstanding;
        std::uint32_t locks;
        bool all_locked;
    };

    Window* find(Key key);
    Window* busy(Key key);  // null unless something is outstanding in it
    Window* make(Key key);
    bool grow();
    Peer& peer_of(Window& window, int target) const;
    static std::uint64_t take(Window& window, Peer& peer);
    static std::uint64_t take_reads(Window& window, Peer& peer);
    std::uint64_t take_all(Window& window) const;

    int ranks_ = 0;
    Window* table_ = nullptr;  // open addressing; freed windows keep their key until it grows
    std::size_t capacity_ = 0;
    std::size_t used_ = 0;
    Window* last_ = nullptr;  // the one the last call was for
};

}  // namespace grl
