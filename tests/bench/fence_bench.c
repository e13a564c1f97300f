// The bare collecting PMIx fence of a step: what a drain is measured against. Each round puts one
// key, and then all ranks sleep till the same moment, as agents do that one store wakes. A rank
// prints one JSON object: microseconds from that moment to the end of the fence; the largest of all
// ranks is the fence's. Nodes with a clock of their own are woken as nearly together as a fence can.
//   fence_bench ROUNDS PAUSE_US BUSY ONE_CLOCK      BUSY=1: another thread of each rank computes
#define _GNU_SOURCE
#include <pmix.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void sleep_until(long long ns) {
    const struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) != 0) continue;
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
    if (argc != 5) return 2;
    const int rounds = atoi(argv[1]);
    const long long pause_ns = atoi(argv[2]) * 1000LL;
    const int one_clock = atoi(argv[4]);
    pthread_t computing;
    if (rounds < 1 || (atoi(argv[3]) && pthread_create(&computing, NULL, compute, NULL))) return 2;
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
        check(PMIx_Put(PMIX_GLOBAL, "grl.bench", &value), "PMIx_Put");
        check(PMIx_Commit(), "PMIx_Commit");
        check(PMIx_Fence(&all, 1, &collecting, 1), "PMIx_Fence");
        long long start = now_ns() + pause_ns;
        if (one_clock) start = (start / pause_ns + 1) * pause_ns;
        sleep_until(start);
        check(PMIx_Fence(&all, 1, &collecting, 1), "PMIx_Fence");
        if (i >= 0) fence[i] = (double)(now_ns() - start) / 1000;
    }
    printf("{\"ranks\":%u,\"fence_us\":[", ranks);
    for (int i = 0; i < rounds; i++) printf("%s%.0f", i ? "," : "", fence[i]);
    printf("]}\n");
    PMIx_Finalize(NULL, 0);
    return 0;
}
