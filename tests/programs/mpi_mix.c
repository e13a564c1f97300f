/* An MPI program that knows nothing of GRL: one-sided communication in every kind of epoch,
 * messages and collectives, each value checked. The checksum depends on the numbers of ranks and
 * iterations only. With --threads, that many threads of each rank exchange messages at once instead
 * (MPI_THREAD_MULTIPLE), since Open MPI's osc/pt2pt has no windows for them. Exit 1 on any wrong
 * value. */
#define _GNU_SOURCE
#include <getopt.h>
#include <mpi.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { kWords = 64 };

static long iterations = 50, pause_us, threads;
static int rank, ranks;
static long errors;
static uint64_t digest = 1469598103934665603u;

static void expect(long value, long wanted, const char* what, long iteration) {
    digest = (digest ^ (uint64_t)value) * 1099511628211u;
    if (value == wanted) return;
    if (errors++ == 0)
        fprintf(stderr, "rank %d iteration %ld: %s is %ld, not %ld\n", rank, iteration, what, value,
                wanted);
}

static int next(void) {
    return (rank + 1) % ranks;
}
static int before(void) {
    return (rank + ranks - 1) % ranks;
}
static long pattern(int from, long iteration, int k) {
    return from * 1000000L + iteration * 100 + k;
}

/* lock_all for as long as the window lives; flushes complete. */
static void passive(long iteration, MPI_Win win, long* memory) {
    long mine[kWords], old = -1, one = 1, seen[kWords];
    for (int k = 0; k < kWords; k++) mine[k] = pattern(rank, iteration, k);
    MPI_Put(mine, kWords, MPI_LONG, next(), 0, kWords, MPI_LONG, win);
    MPI_Fetch_and_op(&one, &old, MPI_LONG, 0, kWords, MPI_SUM, win);
    MPI_Accumulate(&one, 1, MPI_LONG, next(), kWords + 1, 1, MPI_LONG, MPI_SUM, win);
    MPI_Win_flush(next(), win);
    MPI_Win_flush_all(win);
    MPI_Request request;
    MPI_Rget(seen, kWords, MPI_LONG, next(), 0, kWords, MPI_LONG, win, &request);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    for (int k = 0; k < kWords; k++) expect(seen[k], mine[k], "what was put", iteration);
    expect(old >= iteration * ranks && old < (iteration + 1) * ranks, 1, "the fetched counter",
           iteration);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_sync(win);
    expect(memory[0], pattern(before(), iteration, 0), "what came", iteration);
    expect(memory[kWords + 1], iteration + 1, "what was accumulated", iteration);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* A window for one iteration: fence, exclusive lock, post-start-complete-wait. */
static void active(long iteration) {
    long* memory;
    long value = pattern(rank, iteration, 7), got = -1, zero = 0;
    MPI_Win win;
    MPI_Win_allocate(4 * sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD, &memory, &win);
    for (int k = 0; k < 4; k++) memory[k] = 0;
    MPI_Win_fence(0, win);
    MPI_Put(&value, 1, MPI_LONG, next(), 0, 1, MPI_LONG, win);
    MPI_Win_fence(0, win);
    expect(memory[0], pattern(before(), iteration, 7), "a fenced put", iteration);

    MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, win);
    MPI_Get(&got, 1, MPI_LONG, 0, 1, 1, MPI_LONG, win);
    MPI_Win_flush(0, win);
    got += rank + 1;
    MPI_Put(&got, 1, MPI_LONG, 0, 1, 1, MPI_LONG, win);
    MPI_Win_unlock(0, win);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, win);
        expect(memory[1], (long)ranks * (ranks + 1) / 2, "the guarded sum", iteration);
        MPI_Win_unlock(0, win);
    }

    MPI_Group all, to, from;
    const int target = next(), origin = before();
    MPI_Comm_group(MPI_COMM_WORLD, &all);
    MPI_Group_incl(all, 1, &target, &to);
    MPI_Group_incl(all, 1, &origin, &from);
    MPI_Win_post(from, 0, win);
    MPI_Win_start(to, 0, win);
    MPI_Put(&value, 1, MPI_LONG, target, 2, 1, MPI_LONG, win);
    MPI_Get_accumulate(&zero, 1, MPI_LONG, &got, 1, MPI_LONG, target, 3, 1, MPI_LONG, MPI_NO_OP,
                       win);
    MPI_Win_complete(win);
    MPI_Win_wait(win);
    expect(memory[2], pattern(origin, iteration, 7), "a put after a post", iteration);
    MPI_Group_free(&all);
    MPI_Group_free(&to);
    MPI_Group_free(&from);
    MPI_Win_free(&win);
}

static void messages(long iteration) {
    long out = pattern(rank, iteration, 1), in = -1, sum = 0;
    int done = 0;
    MPI_Request pair[2], barrier;
    MPI_Irecv(&in, 1, MPI_LONG, before(), 3, MPI_COMM_WORLD, &pair[0]);
    MPI_Isend(&out, 1, MPI_LONG, next(), 3, MPI_COMM_WORLD, &pair[1]);
    MPI_Waitall(2, pair, MPI_STATUSES_IGNORE);
    expect(in, pattern(before(), iteration, 1), "a message", iteration);
    MPI_Sendrecv(&out, 1, MPI_LONG, before(), 4, &in, 1, MPI_LONG, next(), 4, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    expect(in, pattern(next(), iteration, 1), "a message back", iteration);
    MPI_Allreduce(&out, &sum, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    long wanted = 0;
    for (int r = 0; r < ranks; r++) wanted += pattern(r, iteration, 1);
    expect(sum, wanted, "a sum", iteration);
    MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    while (!done) MPI_Test(&barrier, &done, MPI_STATUS_IGNORE);
}

static void windows(void) {
    long* memory;
    MPI_Win win;
    MPI_Win_allocate((kWords + 2) * sizeof(long), sizeof(long), MPI_INFO_NULL, MPI_COMM_WORLD,
                     &memory, &win);
    for (int k = 0; k < kWords + 2; k++) memory[k] = 0;
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Win_lock_all(0, win);
    for (long i = 0; i < iterations; i++) {
        passive(i, win, memory);
        active(i);
        messages(i);
        if (pause_us != 0) usleep((useconds_t)pause_us);
    }
    MPI_Win_unlock_all(win);
    MPI_Win_free(&win);
}

static void* exchange(void* argument) {
    const int tag = (int)(intptr_t)argument;
    long bad = 0;
    for (long i = 0; i < iterations; i++) {
        long out = pattern(rank, i, tag), in = -1;
        MPI_Sendrecv(&out, 1, MPI_LONG, next(), tag, &in, 1, MPI_LONG, before(), tag,
                     MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        bad += in != pattern(before(), i, tag);
        if (pause_us != 0) usleep((useconds_t)pause_us);
    }
    return (void*)(intptr_t)bad;
}

static void many(void) {
    pthread_t* thread = calloc((size_t)threads, sizeof *thread);
    for (long t = 0; t < threads; t++)
        pthread_create(&thread[t], NULL, exchange, (void*)(intptr_t)t);
    for (long t = 0; t < threads; t++) {
        void* bad = NULL;
        pthread_join(thread[t], &bad);
        expect((long)(intptr_t)bad, 0, "wrong messages of a thread", t);
    }
    free(thread);
}

int main(int argc, char* argv[]) {
    static const struct option names[] = {{"iterations", 1, NULL, 'i'},
                                          {"pause-us", 1, NULL, 'p'},
                                          {"threads", 1, NULL, 't'},
                                          {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (o == '?') return 2;
        *(o == 'i' ? &iterations : o == 'p' ? &pause_us : &threads) = atol(optarg);
    }
    int provided = 0;
    MPI_Init_thread(&argc, &argv, threads != 0 ? MPI_THREAD_MULTIPLE : MPI_THREAD_SINGLE,
                    &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (threads == 0)
        windows();
    else if (provided == MPI_THREAD_MULTIPLE)
        many();
    else
        errors = 1;
    uint64_t sum = 0;
    long wrong = 0;
    MPI_Reduce(&digest, &sum, 1, MPI_UINT64_T, MPI_BXOR, 0, MPI_COMM_WORLD);
    MPI_Allreduce(&errors, &wrong, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0)
        printf("checksum %016llx errors %ld ranks %d iterations %ld\n", (unsigned long long)sum,
               wrong, ranks, iterations);
    MPI_Finalize();
    return wrong != 0;
}
