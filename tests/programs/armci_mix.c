// Hostile on purpose: random mixes of ARMCI's operations from a seed, against a model of what
// memory must hold. Every rank draws the same numbers, so each knows what all the others do: in a
// round a cell has one writer, or takes additions only, or is only read. A round ends in one of
// several kinds of synchronisation; then each rank compares its cells with the model. Exit 1 on any
// difference, with the seed that shows it.
#define _GNU_SOURCE
#include <armci.h>
#include <getopt.h>
#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kCells = 128, kRounds = 6, kDraws = 10, kMutexes = 2, kMost = 64 };

typedef long Cells[kCells];

static int rank, ranks;
static long errors;
static void** bases;  // Cells of each rank
static Cells* model;  // what each rank's must hold
static uint64_t state;

static uint32_t draw(uint32_t below) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 33) % below;
}

static long* cell(int owner, int index) {
    return (long*)bases[owner] + index;
}

static void expect(long value, long wanted, const char* what, long seed) {
    if (value == wanted) return;
    if (errors++ < 5)
        fprintf(stderr, "rank %d seed %ld: %s is %ld, not %ld\n", rank, seed, what, value, wanted);
}

// ---- one operation on cells [at, at + n) of `to`, by `from` ----

static void put(int from, int to, int at, int n, uint32_t how, long value) {
    static long buffer[kMost][kCells];  // a non-blocking put reads it until it is waited for
    static int turn;
    for (int k = 0; k < n; k++) model[to][at + k] = value + k;
    if (from != rank) return;
    long* source = buffer[turn++ % kMost];
    for (int k = 0; k < n; k++) source[k] = value + k;
    const int bytes = n * (int)sizeof(long);
    int stride[1] = {bytes}, count[2] = {bytes, 1};
    armci_hdl_t handle;
    ARMCI_INIT_HANDLE(&handle);
    void *sources[1] = {source}, *targets[1] = {cell(to, at)};
    armci_giov_t iov = {sources, targets, bytes, 1};
    switch (how % 6) {
        case 0:
            ARMCI_Put(source, cell(to, at), bytes, to);
            break;
        case 1:
            ARMCI_PutS(source, stride, cell(to, at), stride, count, 1, to);
            break;
        case 2:
            ARMCI_PutV(&iov, 1, to);
            break;
        case 3:
            ARMCI_NbPut(source, cell(to, at), bytes, to, &handle);
            ARMCI_Wait(&handle);
            break;
        case 4:
            ARMCI_NbPutS(source, stride, cell(to, at), stride, count, 1, to, &handle);
            while (ARMCI_Test(&handle) != 0) {
            }
            break;
        default:
            ARMCI_NbPut(source, cell(to, at), bytes, to, NULL);
            if (how & 64) ARMCI_WaitProc(to);
            break;
    }
    if (how & 128) ARMCI_Fence(to);
}

static void accumulate(int from, int to, int at, int n, uint32_t how, long value) {
    for (int k = 0; k < n; k++) model[to][at + k] += 3 * value;
    if (from != rank) return;
    long source[kCells], scale = 3;
    for (int k = 0; k < n; k++) source[k] = value;
    const int bytes = n * (int)sizeof(long);
    int stride[1] = {bytes}, count[2] = {bytes, 1};
    if (how & 1)
        ARMCI_Acc(ARMCI_ACC_LNG, &scale, source, cell(to, at), bytes, to);
    else
        ARMCI_AccS(ARMCI_ACC_LNG, &scale, source, stride, cell(to, at), stride, count, 1, to);
}

static void fetch_and_add(int from, int to, int at, long value, long seed) {
    model[to][at] += value;
    if (from != rank) return;
    long old = -1;
    ARMCI_Rmw(ARMCI_FETCH_AND_ADD_LONG, &old, cell(to, at), (int)value, to);
    expect(old >= 0, 1, "a fetched value's sign", seed);
}

static void get(int from, int to, int at, int n, uint32_t how, long seed) {
    if (from != rank) return;
    long target[kCells];
    const int bytes = n * (int)sizeof(long);
    int stride[1] = {bytes}, count[2] = {bytes, 1};
    armci_hdl_t handle;
    ARMCI_INIT_HANDLE(&handle);
    memset(target, -1, sizeof target);
    if (how % 3 == 0) {
        ARMCI_Get(cell(to, at), target, bytes, to);
    } else if (how % 3 == 1) {
        ARMCI_GetS(cell(to, at), stride, target, stride, count, 1, to);
    } else {
        ARMCI_NbGet(cell(to, at), target, bytes, to, &handle);
        ARMCI_Wait(&handle);
    }
    for (int k = 0; k < n; k++) expect(target[k], model[to][at + k], "a value read", seed);
}

// Read, change and write under a mutex: lost updates would show.
static void guarded(int from, int to, int at, long value, int mutex) {
    model[to][at] += value;
    if (from != rank) return;
    long now = -1;
    ARMCI_Lock(mutex, 0);
    ARMCI_Get(cell(to, at), &now, sizeof now, to);
    now += value;
    ARMCI_Put(&now, cell(to, at), sizeof now, to);
    ARMCI_Fence(to);
    ARMCI_Unlock(mutex, 0);
}

// ---- a round ----

static void together(uint32_t how) {
    long word = rank;
    switch (how % 5) {
        case 0:
            ARMCI_Barrier();
            break;
        case 1:
            ARMCI_AllFence();
            MPI_Barrier(MPI_COMM_WORLD);
            break;
        case 2:
            for (int r = 0; r < ranks; r++) ARMCI_Fence(r);
            armci_msg_barrier();
            break;
        case 3:
            ARMCI_WaitAll();
            ARMCI_AllFence();
            armci_msg_lgop(&word, 1, "+");
            break;
        default:
            ARMCI_AllFence();
            MPI_Allreduce(MPI_IN_PLACE, &word, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
            break;
    }
}

static void allocate_and_free(uint32_t how) {
    void* some[kMost];
    ARMCI_Malloc(some, 64 * (1 + how % 8));
    long one = rank;
    ARMCI_Put(&one, some[(rank + 1) % ranks], sizeof one, (rank + 1) % ranks);
    ARMCI_Barrier();
    ARMCI_Free(some[rank]);
}

// The quarters of a rank's cells have one use each in a round, and the uses change places.
static void operate(long seed, int round) {
    const int quarter = kCells / 4;
    bool written[kMost][kMost] = {{false}};  // by whom at whom: later puts might overtake
    for (int i = 0; i < kDraws; i++) {
        const int from = (int)draw((uint32_t)ranks), to = (int)draw((uint32_t)ranks);
        const uint32_t kind = draw(5), how = draw(256), pick = draw(1000);
        const int base = (int)((kind + (uint32_t)round) % 4) * quarter;
        const long value = 1 + (long)draw(1000);
        const uint32_t away = draw(20);
        if (kind == 0) {
            // One writer a cell and round: by its number.
            const int width = quarter / ranks;
            if (width > 0 && !written[from][to])
                put(from, to, base + from * width, 1 + (int)pick % width, how, seed * 1000 + value);
            written[from][to] = true;
        } else if (kind == 1) {
            const int at = (int)pick % quarter;
            accumulate(from, to, base + at, 1 + (int)how % (quarter - at), how, value);
        } else if (kind == 2) {
            const int at = (int)pick % quarter;
            get(from, to, base + at, 1 + (int)how % (quarter - at), how, seed);
        } else if (kind == 3 && (pick & 1)) {
            guarded(from, to, base + quarter - 1, value, to % kMutexes);
        } else if (kind == 3) {
            fetch_and_add(from, to, base + (int)pick % (quarter - 1), value, seed);
        }
        if (away == 0 && from == rank) usleep(200 * how);  // computing, as its peers see it
    }
}

static void run(long seed) {
    state = 88172645463325252ULL ^ ((uint64_t)seed * 2654435761u);
    ARMCI_Access_begin(bases[rank]);
    memset(cell(rank, 0), 0, sizeof(Cells));
    ARMCI_Access_end(bases[rank]);
    memset(model, 0, (size_t)ranks * sizeof(Cells));
    ARMCI_Barrier();
    for (int round = 0; round < kRounds; round++) {
        operate(seed, round);
        together(draw(1000));
        ARMCI_Access_begin(bases[rank]);
        for (int k = 0; k < kCells; k++) expect(*cell(rank, k), model[rank][k], "a cell", seed);
        ARMCI_Access_end(bases[rank]);
        MPI_Barrier(MPI_COMM_WORLD);
        if (draw(4) == 0) allocate_and_free(draw(1000));
    }
}

int main(int argc, char* argv[]) {
    long seeds = 20, first = 1;
    static const struct option names[] = {
        {"seeds", 1, NULL, 's'}, {"first", 1, NULL, 'f'}, {NULL, 0, NULL, 0}};
    for (int o; (o = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (o == '?') return 2;
        *(o == 's' ? &seeds : &first) = atol(optarg);
    }
    MPI_Init(&argc, &argv);
    ARMCI_Init();
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (ranks > kMost) return 2;
    bases = calloc((size_t)ranks, sizeof *bases);
    model = calloc((size_t)ranks, sizeof *model);
    ARMCI_Malloc(bases, sizeof(Cells));
    ARMCI_Create_mutexes(rank == 0 ? kMutexes : 0);
    for (long seed = first; seed < first + seeds; seed++) run(seed);
    ARMCI_Barrier();
    MPI_Allreduce(MPI_IN_PLACE, &errors, 1, MPI_LONG, MPI_SUM, MPI_COMM_WORLD);
    if (rank == 0)
        printf("errors %ld ranks %d seeds %ld to %ld\n", errors, ranks, first, first + seeds - 1);
    ARMCI_Destroy_mutexes();
    ARMCI_Free(bases[rank]);
    ARMCI_Finalize();
    MPI_Finalize();
    free(bases);
    free(model);
    return errors != 0;
}
