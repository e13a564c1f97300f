#include "armci_patch/outstanding.h"

#include <cstdlib>

namespace grl {

void Outstanding::open(int ranks) {
    if (targets_ != nullptr || ranks <= 0) return;
    targets_ = static_cast<Target*>(std::calloc(static_cast<std::size_t>(ranks), sizeof(Target)));
    if (targets_ != nullptr) ranks_ = ranks;
}

void Outstanding::close() {
    std::free(targets_);
    targets_ = nullptr;
    ranks_ = 0;
}

Outstanding::Target& Outstanding::of(int target) {
    return target >= 0 && target < ranks_ ? targets_[target] : elsewhere_;
}

Outstanding::Handle& Outstanding::entry(const armci_hdl_t* handle) {
    return handles_[reinterpret_cast<std::uintptr_t>(handle) / sizeof(armci_hdl_t) % kHandles];
}

std::uint64_t Outstanding::take(std::uint64_t& count) {
    const std::uint64_t taken = count;
    count = 0;
    return taken;
}

void Outstanding::reads(int target, const armci_hdl_t* handle) {
    Target& peer = of(target);
    ++peer.reads;
    if (handle == nullptr) return;
    Handle& known = entry(handle);
    const bool same = known.handle == handle && known.epoch == peer.epoch && known.reads != 0;
    if (same && known.target != target) {
        known.handle = nullptr;  // an aggregate over several targets: left to an all-fence
        return;
    }
    known = {handle, target, peer.epoch, same ? known.reads + 1 : 1};
}

std::uint64_t Outstanding::waited(const armci_hdl_t* handle) {
    Handle& known = entry(handle);
    if (handle == nullptr || known.handle != handle) return 0;
    known.handle = nullptr;
    Target& peer = of(known.target);
    if (known.epoch != peer.epoch || known.reads > peer.reads) return 0;
    peer.reads -= known.reads;
    return known.reads;
}

std::uint64_t Outstanding::waited(int target) {
    if (target < 0 || target >= ranks_) return 0;
    ++targets_[target].epoch;
    return take(targets_[target].reads);
}

std::uint64_t Outstanding::waited_all() {
    std::uint64_t count = take(elsewhere_.reads);
    ++elsewhere_.epoch;
    for (int target = 0; target < ranks_; ++target) count += waited(target);
    return count;
}

std::uint64_t Outstanding::fenced(int target) {
    if (target < 0 || target >= ranks_) return 0;
    return waited(target) + take(targets_[target].writes);
}

std::uint64_t Outstanding::fenced_all() {
    std::uint64_t count = waited_all() + take(elsewhere_.writes);
    for (int target = 0; target < ranks_; ++target) count += take(targets_[target].writes);
    return count;
}

}  // namespace grl
