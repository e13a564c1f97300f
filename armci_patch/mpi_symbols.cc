#include "armci_patch/mpi_symbols.h"

#include <dlfcn.h>
#include <link.h>

#include <cstring>

#include "armci_patch/mpi_real.h"

extern "C" {
// By the assembler below, too.
[[gnu::visibility("hidden")]] void* (*grl_real_dlsym)(void*, const char*) = nullptr;
[[gnu::visibility("hidden"), gnu::used]] void* grl_gated_symbol(void* library, const char* name,
                                                                const void* caller);
}

namespace grl {
namespace {

struct Gated {
    const char* name;  // the second one
    void* function;
};

// By the second names: where a profiler asks for what comes after it, the first would call it again.
const Gated kGated[] = {
#define GRL_MPI(kind, name, parameters, arguments) \
    {"PMPI_" #name, reinterpret_cast<void*>(&PMPI_##name)},
#include "armci_patch/mpi_functions.def"
#undef GRL_MPI
};

void find_dlsym() {
    static const char* const kVersions[] = {"GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.17"};
    for (const char* version : kVersions)
        if (grl_real_dlsym == nullptr)
            grl_real_dlsym = reinterpret_cast<void* (*)(void*, const char*)>(
                dlvsym(RTLD_NEXT, "dlsym", version));
}

void* gated_function(const char* name) {
    if (*name == 'M') {
        for (const Gated& gated : kGated)
            if (std::strcmp(gated.name + 1, name) == 0) return gated.function;
        return nullptr;
    }
    for (const Gated& gated : kGated)
        if (std::strcmp(gated.name, name) == 0) return gated.function;
    return nullptr;
}

link_map* map_of(const void* address) {
    Dl_info object{};
    void* map = nullptr;
    if (dladdr1(address, &object, &map, RTLD_DL_LINKMAP) == 0) return nullptr;
    return static_cast<link_map*>(map);
}

// What comes after the caller's object; `library` becomes the one that has it.
void* next_symbol(const void* caller, const char* name, void*& library) {
    const link_map* after = map_of(caller);
    for (after = after != nullptr ? after->l_next : nullptr; after != nullptr;
         after = after->l_next) {
        library = dlopen(after->l_name, RTLD_LAZY | RTLD_NOLOAD);
        void* symbol = library != nullptr ? real_symbol(library, name) : nullptr;
        if (symbol != nullptr && map_of(symbol) == after) return symbol;
    }
    return nullptr;
}

}  // namespace

void* real_symbol(void* library, const char* name) {
    if (grl_real_dlsym == nullptr) find_dlsym();
    return grl_real_dlsym(library, name);
}

const void* object_of(const void* address) {
    Dl_info object{};
    return dladdr(address, &object) != 0 ? object.dli_fbase : nullptr;
}

}  // namespace grl

using namespace grl;

// The gated function, if what the caller would get is MPI's own; else null.
void* grl_gated_symbol(void* library, const char* name, const void* caller) {
    if (grl_real_dlsym == nullptr) find_dlsym();
    if (library == RTLD_DEFAULT || name == nullptr) return nullptr;
    if (std::strncmp(name, "MPI_", 4) != 0 && std::strncmp(name, "PMPI_", 5) != 0) return nullptr;
    void* const gated = gated_function(name);
    if (gated == nullptr) return nullptr;
    void* const symbol =
        library == RTLD_NEXT ? next_symbol(caller, name, library) : real_symbol(library, name);
    if (symbol == nullptr) return nullptr;
    // MPI's own has both names in one library; a profiler's is its own business, and calls on.
    void* const second = real_symbol(library, "PMPI_Init");
    if (second == nullptr || object_of(second) != object_of(symbol)) return nullptr;
    if (g_real.Init == nullptr) find_real_mpi_in(library);
    return gated;
}

// Jumps on, so that the C library sees who has asked: RTLD_NEXT goes by that.
#if defined(__x86_64__)
asm(R"(
    .text
    .globl dlsym
    .type dlsym, @function
dlsym:
    .cfi_startproc
    endbr64
    push %rdi
    .cfi_adjust_cfa_offset 8
    push %rsi
    .cfi_adjust_cfa_offset 8
    mov 16(%rsp), %rdx
    sub $8, %rsp
    .cfi_adjust_cfa_offset 8
    call grl_gated_symbol
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    pop %rsi
    .cfi_adjust_cfa_offset -8
    pop %rdi
    .cfi_adjust_cfa_offset -8
    test %rax, %rax
    jne 1f
    jmp *grl_real_dlsym(%rip)
1:  ret
    .cfi_endproc
    .size dlsym, . - dlsym
)");
#endif
