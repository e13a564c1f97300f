#include "armci_patch/windows.h"

#include <cstdlib>

namespace grl {
namespace {

constexpr std::size_t kFirstCapacity = 64;

std::size_t slot_of(Windows::Key key, std::size_t capacity) {
    return (key >> 4 ^ key >> 12 ^ key) & (capacity - 1);
}

}  // namespace

void Windows::open(int ranks) {
    if (ranks > 0) ranks_ = ranks;
}

void Windows::close() {
    for (std::size_t i = 0; i < capacity_; ++i) std::free(table_[i].peers);
    std::free(table_);
    *this = {};
}

Windows::Window* Windows::find(Key key) {
    if (last_ != nullptr && last_->key == key) return last_;
    if (capacity_ == 0) return nullptr;
    for (std::size_t i = slot_of(key, capacity_);; i = (i + 1) & (capacity_ - 1)) {
        if (table_[i].key == 0) return nullptr;
        if (table_[i].key == key) return last_ = &table_[i];
    }
}

Windows::Window* Windows::busy(Key key) {
    Window* known = find(key);
    return known != nullptr && known->outstanding != 0 ? known : nullptr;
}

bool Windows::grow() {
    const std::size_t capacity = capacity_ == 0 ? kFirstCapacity : 2 * capacity_;
    auto* table = static_cast<Window*>(std::calloc(capacity, sizeof(Window)));
    if (table == nullptr) return false;
    used_ = 0;
    for (std::size_t i = 0; i < capacity_; ++i) {
        const Window& old = table_[i];
        if (old.peers == nullptr) continue;  // freed
        std::size_t at = slot_of(old.key, capacity);
        while (table[at].key != 0) at = (at + 1) & (capacity - 1);
        table[at] = old;
        ++used_;
    }
    std::free(table_);
    table_ = table;
    capacity_ = capacity;
    last_ = nullptr;
    return true;
}

Windows::Window* Windows::make(Key key) {
    Window* known = find(key);
    if (known == nullptr) {
        if (2 * (used_ + 1) > capacity_ && !grow()) return nullptr;
        std::size_t at = slot_of(key, capacity_);
        while (table_[at].key != 0) at = (at + 1) & (capacity_ - 1);
        known = &table_[at];
        known->key = key;
        ++used_;
    }
    if (known->peers == nullptr) {
        const auto peers = static_cast<std::size_t>(ranks_) + 1;
        known->peers = static_cast<Peer*>(std::calloc(peers, sizeof(Peer)));
        if (known->peers == nullptr) return nullptr;
    }
    return last_ = known;
}

Windows::Peer& Windows::peer_of(Window& window, int target) const {
    return window.peers[target >= 0 && target < ranks_ ? target : ranks_];
}

std::uint64_t Windows::take_reads(Window& window, Peer& peer) {
    const std::uint64_t taken = peer.reads;
    peer.reads = 0;
    window.outstanding -= taken;
    return taken;
}

std::uint64_t Windows::take(Window& window, Peer& peer) {
    const std::uint64_t taken = peer.writes;
    peer.writes = 0;
    window.outstanding -= taken;
    return taken + take_reads(window, peer);
}

std::uint64_t Windows::take_all(Window& window) const {
    const std::uint64_t taken = window.outstanding;
    for (int target = 0; window.outstanding != 0 && target <= ranks_; ++target)
        take(window, window.peers[target]);
    return taken;
}

void Windows::began(Sort sort, Key window, int target) {
    Window* known = make(window);
    if (known == nullptr) return;
    Peer& peer = peer_of(*known, target);
    ++(sort == write ? peer.writes : peer.reads);
    ++known->outstanding;
}

std::uint64_t Windows::locked(Key window, int target) {
    if (Window* known = make(window); known != nullptr) {
        ++peer_of(*known, target).locked;
        ++known->locks;
    }
    return 0;
}

std::uint64_t Windows::locked_all(Key window) {
    if (Window* known = make(window); known != nullptr) known->all_locked = true;
    return 0;
}

std::uint64_t Windows::flushed(Key window, int target) {
    Window* known = busy(window);
    return known == nullptr ? 0 : take(*known, peer_of(*known, target));
}

std::uint64_t Windows::flushed_all(Key window) {
    Window* known = busy(window);
    return known == nullptr ? 0 : take_all(*known);
}

std::uint64_t Windows::flushed_local(Key window, int target) {
    Window* known = busy(window);
    return known == nullptr ? 0 : take_reads(*known, peer_of(*known, target));
}

std::uint64_t Windows::flushed_local_all(Key window) {
    Window* known = busy(window);
    std::uint64_t completed = 0;
    for (int target = 0; known != nullptr && target <= ranks_; ++target)
        completed += take_reads(*known, known->peers[target]);
    return completed;
}

std::uint64_t Windows::unlocked(Key window, int target) {
    Window* known = find(window);
    if (known == nullptr || known->peers == nullptr) return 0;
    Peer& peer = peer_of(*known, target);
    if (peer.locked != 0) {
        --peer.locked;
        --known->locks;
    }
    return take(*known, peer);
}

std::uint64_t Windows::unlocked_all(Key window) {
    Window* known = find(window);
    if (known == nullptr) return 0;
    known->all_locked = false;
    return take_all(*known);
}

std::uint64_t Windows::freed(Key window) {
    Window* known = find(window);
    if (known == nullptr) return 0;
    const std::uint64_t completed = take_all(*known);
    std::free(known->peers);
    known->peers = nullptr;
    known->locks = 0;
    known->all_locked = false;
    return completed;
}

}  // namespace grl
