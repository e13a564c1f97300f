#include "armci_patch/join_step.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace grl {
namespace {

constexpr std::size_t kWhyBytes = 256;

// An entry of the agent library, or why not.
template <class Function>
Function* entry_of(const char* symbol, char* why) {
    const char* path = secure_getenv(kAgentLibraryEnv);
    if (path == nullptr) path = "libgrl_agent.so";
    // Never unloaded: the gate's slow path and the agent's thread are in it.
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* entry = library != nullptr ? dlsym(library, symbol) : nullptr;
    if (entry == nullptr) {
        const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
        std::snprintf(why, kWhyBytes, "%s", reason != nullptr ? reason : path);
    }
    return reinterpret_cast<Function*>(entry);
}

bool not_protected(const char* why) {
    std::fprintf(stderr, "grl: this rank is not protected: %s\n", why);
    return false;
}

}  // namespace

bool announce_step() {
    if (secure_getenv(kLinePageEnv) == nullptr) return false;
    char why[kWhyBytes] = "";
    AnnounceFunction* const announce = entry_of<AnnounceFunction>(kAnnounceSymbol, why);
    if (announce != nullptr && announce(why, sizeof why) == 0) return true;
    return not_protected(why);
}

void retract_step() {
    char why[kWhyBytes] = "";
    RetractFunction* const retract = entry_of<RetractFunction>(kRetractSymbol, why);
    if (retract != nullptr) retract();
}

Joined join_step(Gate& gate, int ranks, bool threaded) {
    if (secure_getenv(kLinePageEnv) == nullptr) return Joined::not_here;
    gate.threaded = threaded;
    char why[kWhyBytes] = "";
    JoinFunction* const join = entry_of<JoinFunction>(kJoinSymbol, why);
    Joined joined = Joined::not_here;
    if (join != nullptr) joined = join(&gate, static_cast<std::uint32_t>(ranks), why, sizeof why);
    if (joined == Joined::joined) return joined;
    gate.threaded = false;
    not_protected(why);
    return joined;
}

}  // namespace grl
