#include "armci_patch/join_step.h"

#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

namespace grl {

bool join_step(Gate& gate, int ranks, bool threaded) {
    if (secure_getenv(kLinePageEnv) == nullptr) return false;
    gate.threaded = threaded;
    char why[256] = "";
    const char* path = secure_getenv(kAgentLibraryEnv);
    if (path == nullptr) path = "libgrl_agent.so";
    // Never unloaded: the gate's slow path and the agent's thread are in it.
    void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* entry = library != nullptr ? dlsym(library, kJoinSymbol) : nullptr;
    if (entry == nullptr) {
        const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): per thread in glibc
        std::snprintf(why, sizeof why, "%s", reason != nullptr ? reason : path);
    } else if (reinterpret_cast<JoinFunction*>(entry)(&gate, static_cast<std::uint32_t>(ranks), why,
                                                      sizeof why) == 0) {
        return true;
    }
    gate.threaded = false;
    std::fprintf(stderr, "grl: this rank is not protected: %s\n", why);
    return false;
}

}  // namespace grl
