#include "pmix_hooks/standing.h"

#include <pthread.h>
#include <unwind.h>

namespace grl {
namespace {

struct Walk {
    const std::uintptr_t cfa;
    const std::uintptr_t function;  // 0: any
    std::uintptr_t below = 0;       // the function of the frame before
    std::uintptr_t top = 0;         // the highest frame's address
    bool found = false;
};

std::uintptr_t function_of(std::uintptr_t code) {
    return reinterpret_cast<std::uintptr_t>(
        _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(code)));
}

// The unwinder tells a frame's address when it has come to the next one.
_Unwind_Reason_Code step(_Unwind_Context* context, void* self) {
    Walk& walk = *static_cast<Walk*>(self);
    const auto cfa = static_cast<std::uintptr_t>(_Unwind_GetCFA(context));
    if (cfa > walk.top) walk.top = cfa;
    if (cfa == walk.cfa && (walk.function == 0 || walk.below == walk.function)) {
        walk.found = true;
        return _URC_NORMAL_STOP;
    }
    walk.below = static_cast<std::uintptr_t>(_Unwind_GetRegionStart(context));
    return _URC_NO_REASON;
}

bool on_this_stack(std::uintptr_t address) {
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return false;
    void* lowest = nullptr;
    std::size_t bytes = 0;
    pthread_attr_getstack(&attributes, &lowest, &bytes);
    pthread_attr_destroy(&attributes);
    return address - reinterpret_cast<std::uintptr_t>(lowest) <= bytes;
}

}  // namespace

Standing standing_of(const PassFrame& frame) {
    Walk walk{.cfa = frame.cfa, .function = function_of(frame.code)};
    _Unwind_Backtrace(step, &walk);
    if (walk.found) return Standing::standing;
    if (!on_this_stack(frame.cfa)) return Standing::elsewhere;
    return walk.top > frame.cfa ? Standing::left : Standing::unknown;
}

}  // namespace grl
