// A PGAS program over ARMCI that knows its right result: each iteration puts (contiguous, strided,
// vector, non-blocking), accumulates, fetches and adds, and updates a cell under a mutex; then
// every value is checked at its target and read back. The checksum depends on the numbers of ranks
// and iterations only, never on timing. Exit 1 on any wrong value.
#define _GNU_SOURCE
#include <armci.h>
#include <getopt.h>
#include <mpi.h>
#include <netdb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kWords = 256, kRows = 16, kColumns = 16, kPitch = 32, kSegments = 4 };

// What each rank owns in the global address space.
struct Share {
    double put[kWords];
    double strided[kRows][kPitch];
    double nonblocking[kWords];
    double vector[kWords];
    double sum;
    long counter;
    long guarded;
};

struct Options {
    long iterations, pause_us, compute_ms, report_every, stuck_at, stuck_s;
    int stuck_rank, compute_rank;
    const char* udp_log;
};

static struct Options options = {
    .iterations = 100, .report_every = 10, .stuck_rank = -1, .stuck_s = 20, .compute_rank = -1};
static int rank, ranks;
static struct Share **share, *mine;
static double* buffer;
static long errors;
static uint64_t digest = 1469598103934665603u;

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double pattern(int source, long iteration, int area, int index) {
    return source * 1e7 + (double)(iteration % 9973) * 1e3 + area * 256 + index;
}

static void expect(double value, double wanted, const char* what, long iteration) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    digest = (digest ^ bits) * 1099511628211u;
    if (value == wanted) return;
    if (errors++ == 0)
        fprintf(stderr, "rank %d iteration %ld: %s is %.17g, not %.17g\n", rank, iteration, what,
                value, wanted);
}

static void fill(long iteration, int area) {
    for (int k = 0; k < kWords; k++) buffer[k] = pattern(rank, iteration, area, k);
}

// One segment in kSegments each way, interleaved.
static void segments(armci_giov_t* iov, void** sources, void** targets, double* from, double* to) {
    const int length = kWords / kSegments;
    for (int s = 0; s < kSegments; s++) {
        sources[s] = from + s * length;
        targets[s] = to + s * length;
    }
    *iov = (armci_giov_t){sources, targets, length * (int)sizeof(double), kSegments};
}

static void write_all(long iteration, int target) {
    int tight[1] = {kColumns * sizeof(double)}, wide[1] = {kPitch * sizeof(double)};
    int count[2] = {kColumns * sizeof(double), kRows};
    struct Share* to = share[target];

    fill(iteration, 0);
    ARMCI_Put(buffer, to->put, sizeof to->put, target);
    fill(iteration, 1);
    ARMCI_PutS(buffer, tight, to->strided, wide, count, 1, target);
    fill(iteration, 2);
    armci_hdl_t handle;
    ARMCI_INIT_HANDLE(&handle);
    ARMCI_NbPut(buffer, to->nonblocking, sizeof to->nonblocking, target, &handle);
    ARMCI_Wait(&handle);
    fill(iteration, 3);
    armci_giov_t iov;
    void *sources[kSegments], *targets[kSegments];
    segments(&iov, sources, targets, buffer, to->vector);
    ARMCI_PutV(&iov, 1, target);

    double scale = 2.0, one = rank + 1;
    const int summed = (int)((rank + iteration) % ranks);
    ARMCI_Acc(ARMCI_ACC_DBL, &scale, &one, &share[summed]->sum, sizeof one, summed);
    const int counted = (int)(iteration % ranks);
    long before = -1;
    ARMCI_Rmw(ARMCI_FETCH_AND_ADD_LONG, &before, &share[counted]->counter, 1, counted);
    const long rounds = iteration / ranks;  // full ones this counter has seen
    if (before < rounds * ranks || before >= (rounds + 1) * ranks) {
        errors++;
        fprintf(stderr, "rank %d iteration %ld: fetched %ld\n", rank, iteration, before);
    }
}

static void update_guarded(void) {
    long value;
    ARMCI_Lock(0, 0);
    ARMCI_Get(&share[0]->guarded, &value, sizeof value, 0);
    value += rank + 1;
    ARMCI_Put(&value, &share[0]->guarded, sizeof value, 0);
    ARMCI_Fence(0);
    ARMCI_Unlock(0, 0);
}

static void check_mine(long iteration, int source) {
    ARMCI_Access_begin(mine);
    for (int k = 0; k < kWords; k++) {
        expect(mine->put[k], pattern(source, iteration, 0, k), "put", iteration);
        expect(mine->strided[k / kColumns][k % kColumns], pattern(source, iteration, 1, k),
               "strided put", iteration);
        expect(mine->nonblocking[k], pattern(source, iteration, 2, k), "nb put", iteration);
        expect(mine->vector[k], pattern(source, iteration, 3, k), "vector put", iteration);
    }
    // Every rank has summed into this one once in `ranks` iterations, each in its turn.
    double sum = 0;
    for (long i = 0; i <= iteration && i < ranks; i++) {
        const long times = (iteration - i) / ranks + 1;
        sum += 2.0 * (double)(((rank - i % ranks + ranks) % ranks + 1) * times);
    }
    expect(mine->sum, sum, "accumulated sum", iteration);
    ARMCI_Access_end(mine);
}

static void read_back(long iteration, int target) {
    int tight[1] = {kColumns * sizeof(double)}, wide[1] = {kPitch * sizeof(double)};
    int count[2] = {kColumns * sizeof(double), kRows};
    struct Share* from = share[target];

    ARMCI_Get(from->put, buffer, sizeof from->put, target);
    for (int k = 0; k < kWords; k++)
        expect(buffer[k], pattern(rank, iteration, 0, k), "get", iteration);
    ARMCI_GetS(from->strided, wide, buffer, tight, count, 1, target);
    for (int k = 0; k < kWords; k++)
        expect(buffer[k], pattern(rank, iteration, 1, k), "strided get", iteration);
    armci_hdl_t handle;
    ARMCI_INIT_HANDLE(&handle);
    ARMCI_NbGet(from->nonblocking, buffer, sizeof from->nonblocking, target, &handle);
    ARMCI_Wait(&handle);
    for (int k = 0; k < kWords; k++)
        expect(buffer[k], pattern(rank, iteration, 2, k), "nb get", iteration);
    armci_giov_t iov;
    void *sources[kSegments], *targets[kSegments];
    segments(&iov, sources, targets, from->vector, buffer);
    ARMCI_GetV(&iov, 1, target);
    for (int k = 0; k < kWords; k++)
        expect(buffer[k], pattern(rank, iteration, 3, k), "vector get", iteration);
    long guarded;
    ARMCI_Get(&share[0]->guarded, &guarded, sizeof guarded, 0);
    expect((double)guarded, (double)((iteration + 1) * ranks * (ranks + 1) / 2), "guarded cell",
           iteration);
}

// Legitimate, but it cannot be drained: a mutex holder that keeps making one-sided calls.
static void hold_mutex(void) {
    const double end = now(CLOCK_MONOTONIC) + (double)options.stuck_s;
    ARMCI_Lock(0, 0);
    while (now(CLOCK_MONOTONIC) < end) {
        long value;
        ARMCI_Get(&share[0]->guarded, &value, sizeof value, 0);
        usleep(200);
    }
    ARMCI_Unlock(0, 0);
}

static void compute(void) {
    volatile double x = 1;
    const double end = now(CLOCK_MONOTONIC) + (double)options.compute_ms * 1e-3;
    while (now(CLOCK_MONOTONIC) < end)
        for (int k = 0; k < 10000; k++) x = x * 1.0000001;
}

static int open_udp(const char* where) {
    char host[128];
    const char* colon = strrchr(where, ':');
    if (!colon || (size_t)(colon - where) >= sizeof host) return -1;
    snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found;
    if (getaddrinfo(host, colon + 1, &hints, &found)) return -1;
    const int s = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s >= 0 && connect(s, found->ai_addr, found->ai_addrlen)) return -1;
    freeaddrinfo(found);
    return s;
}

// Outside of the guest, where a rollback does not reach: iterations run twice are seen twice.
static void log_outside(int log, long iteration) {
    char text[64];
    const int length = snprintf(text, sizeof text, "iteration %ld\n", iteration);
    if (log >= 0 && send(log, text, (size_t)length, MSG_DONTWAIT) < 0) return;  // fire and forget
}

static void usage(FILE* out) {
    fputs(
        "usage: pgas_demo [OPTION...]\n"
        "  --iterations N    how many (100)\n"
        "  --pause-us US     sleep between iterations (0)\n"
        "  --compute-ms MS   compute without a call in each iteration (0)\n"
        "  --compute-rank R  only this rank computes (all)\n"
        "  --report-every K  rank 0 prints every K iterations (10)\n"
        "  --udp-log H:P     rank 0 sends each iteration's number there\n"
        "  --stuck-rank R    this rank holds a mutex over one-sided calls ...\n"
        "  --stuck-at K      ... in iteration K ...\n"
        "  --stuck-s S       ... for S seconds (20)\n",
        out);
}

static void read_options(int argc, char** argv) {
    static const struct option known[] = {{"iterations", 1, 0, 'n'},
                                          {"pause-us", 1, 0, 'p'},
                                          {"compute-ms", 1, 0, 'c'},
                                          {"compute-rank", 1, 0, 'C'},
                                          {"report-every", 1, 0, 'e'},
                                          {"udp-log", 1, 0, 'u'},
                                          {"stuck-rank", 1, 0, 'r'},
                                          {"stuck-at", 1, 0, 'k'},
                                          {"stuck-s", 1, 0, 's'},
                                          {"help", 0, 0, 'h'},
                                          {0, 0, 0, 0}};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) switch (c) {
            case 'n':
                options.iterations = atol(optarg);
                break;
            case 'p':
                options.pause_us = atol(optarg);
                break;
            case 'c':
                options.compute_ms = atol(optarg);
                break;
            case 'C':
                options.compute_rank = atoi(optarg);
                break;
            case 'e':
                options.report_every = atol(optarg);
                break;
            case 'u':
                options.udp_log = optarg;
                break;
            case 'r':
                options.stuck_rank = atoi(optarg);
                break;
            case 'k':
                options.stuck_at = atol(optarg);
                break;
            case 's':
                options.stuck_s = atol(optarg);
                break;
            case 'h':
                usage(stdout);
                exit(0);
            default:
                usage(stderr);
                exit(2);
        }
    if (options.report_every < 1) options.report_every = 1;
}

static void iterate(long iteration) {
    write_all(iteration, (rank + 1) % ranks);
    update_guarded();
    ARMCI_AllFence();
    ARMCI_Barrier();
    check_mine(iteration, (rank + ranks - 1) % ranks);
    read_back(iteration, (rank + 1) % ranks);
    ARMCI_Barrier();
    if (rank == options.stuck_rank && iteration == options.stuck_at) hold_mutex();
    if (options.compute_ms && (options.compute_rank < 0 || options.compute_rank == rank)) compute();
    if (options.pause_us) usleep((useconds_t)options.pause_us);
}

int main(int argc, char** argv) {
    read_options(argc, argv);
    MPI_Init(&argc, &argv);
    ARMCI_Init_args(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    share = calloc((size_t)ranks, sizeof *share);
    ARMCI_Malloc((void**)share, sizeof(struct Share));
    mine = share[rank];
    buffer = ARMCI_Malloc_local(kWords * sizeof(double));
    ARMCI_Access_begin(mine);
    memset(mine, 0, sizeof *mine);
    ARMCI_Access_end(mine);
    ARMCI_Create_mutexes(1);
    ARMCI_Barrier();

    const int log = rank == 0 && options.udp_log ? open_udp(options.udp_log) : -1;
    for (long i = 0; i < options.iterations; i++) {
        iterate(i);
        if (rank != 0) continue;
        log_outside(log, i);
        if ((i + 1) % options.report_every) continue;
        printf("iteration %ld time %.3f\n", i + 1, now(CLOCK_REALTIME));
        fflush(stdout);
    }

    ARMCI_Barrier();
    uint64_t all_digest = 0;
    long all_errors = 0;
    digest += (uint64_t)rank;  // equal digests must not cancel
    MPI_Allreduce(&digest, &all_digest, 1, MPI_UINT64_T, MPI_BXOR, MPI_COMM_WORLD);
    MPI_Allreduce(&errors, &all_errors, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("checksum %08x errors %ld iterations %ld\n",
               (unsigned)(all_digest ^ (all_digest >> 32)), all_errors, options.iterations);
        fflush(stdout);
    }
    ARMCI_Destroy_mutexes();
    ARMCI_Free_local(buffer);
    ARMCI_Free(mine);
    ARMCI_Finalize();
    MPI_Finalize();
    return all_errors != 0;
}
