// The bare collecting PMIx fence of a step: what a drain is measured against. Each round puts one
// key again, as a line does. A rank prints one JSON object: microseconds from its entering each
// fence to its end; the least of all ranks is the fence itself, from the last one's entering.
//   fence_bench [ROUNDS] [PAUSE_US] [BUSY]      BUSY=1: another thread of each rank computes
#define _GNU_SOURCE
#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void* compute(void* unused) {
    for (volatile unsigned long i = 0;; i++) (void)unused;
    return NULL;
}

static void check(pmix_status_t status, const char* what) {
    if (status == PMIX_SUCCESS) return;
    fprintf(stderr, "fence_bench: %s: %s\n", what, PMIx_Error_string(status));
    exit(1);
}

int main(int argc, char** argv) {
    const int rounds = argc > 1 && atoi(argv[1]) > 0 ? atoi(argv[1]) : 200;
    const int pause_us = argc > 2 ? atoi(argv[2]) : 0;
    pthread_t computing;
    if (argc > 3 && atoi(argv[3]) && pthread_create(&computing, NULL, compute, NULL)) return 1;
    pmix_proc_t self, all;
    check(PMIx_Init(&self, NULL, 0), "PMIx_Init");
    PMIX_LOAD_PROCID(&all, self.nspace, PMIX_RANK_WILDCARD);
    pmix_value_t* size;
    check(PMIx_Get(&all, PMIX_JOB_SIZE, NULL, 0, &size), "PMIx_Get");
    const unsigned ranks = size->data.uint32;
    PMIX_VALUE_RELEASE(size);

    bool yes = true;
    pmix_info_t collecting;
    PMIX_INFO_LOAD(&collecting, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
    double* fence = malloc((size_t)rounds * sizeof *fence);
    for (int i = -5; i < rounds; i++) {  // the first ones connect
        char bytes[48] = {(char)i};
        pmix_value_t value;
        PMIX_VALUE_CONSTRUCT(&value);
        value.type = PMIX_BYTE_OBJECT;
        value.data.bo.bytes = bytes;
        value.data.bo.size = sizeof bytes;
        // From rest, and together, as agents do that one store wakes.
        check(PMIx_Fence(&all, 1, &collecting, 1), "PMIx_Fence");
        if (pause_us) usleep((useconds_t)pause_us);
        check(PMIx_Put(PMIX_GLOBAL, "grl.bench", &value), "PMIx_Put");
        check(PMIx_Commit(), "PMIx_Commit");
        const double start = now_us();
        check(PMIx_Fence(&all, 1, &collecting, 1), "PMIx_Fence");
        if (i >= 0) fence[i] = now_us() - start;
    }
    printf("{\"ranks\":%u,\"fence_us\":[", ranks);
    for (int i = 0; i < rounds; i++) printf("%s%.0f", i ? "," : "", fence[i]);
    printf("]}\n");
    PMIx_Finalize(NULL, 0);
    return 0;
}
