#include "spank/start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "grl/page/start_words.h"

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

bool grl_start_together(const char* path, int seconds) {
    const size_t bytes = (GRL_PAGE_EVENTS + 1) * sizeof(uint32_t);
    const int file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (file < 0) return false;
    uint32_t* words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (words == MAP_FAILED) return false;
    uint32_t* go = &words[GRL_PAGE_GO];
    __atomic_store_n(&words[GRL_PAGE_FORKED], 1, __ATOMIC_RELEASE);
    __atomic_add_fetch(&words[GRL_PAGE_EVENTS], 1, __ATOMIC_RELEASE);
    syscall(SYS_futex, &words[GRL_PAGE_EVENTS], FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    const int64_t end = now_ns() + seconds * INT64_C(1000000000);
    bool told;
    while (!(told = __atomic_load_n(go, __ATOMIC_ACQUIRE) != 0)) {
        const int64_t left = end - now_ns();
        if (left <= 0) break;
        const struct timespec span = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        syscall(SYS_futex, go, FUTEX_WAIT, 0, &span, NULL, 0);
    }
    munmap(words, bytes);
    return told;
}
