// Calls every ARMCI function that communicates and checks what it gives. With ARMCI_CALLS_LOG=PATH
// each rank's standard error goes to PATH.RANK, and a function's name before it is called. Exit 1
// on a wrong value.
#include <armci.h>
#include <armcix.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static int rank, ranks, errors, talks;

static void say(const char* name) {
    if (talks) fprintf(stderr, "call %s\n", name);
}

#define CALL(name, ...) (say(#name), name(__VA_ARGS__))
#define EXPECT(condition)                                                         \
    do {                                                                          \
        if (!(condition) && errors++ == 0)                                        \
            fprintf(stderr, "rank %d line %d: %s\n", rank, __LINE__, #condition); \
    } while (0)

enum { kWords = 64 };
static double** share;
static double *source, *target, *mine;
static int next;

static void settle(void) {
    CALL(ARMCI_AllFence);
    CALL(armci_msg_barrier);
}

static void expect_and_clear(double wanted) {
    settle();
    CALL(ARMCI_Access_begin, mine);
    for (int k = 0; k < 4; k++) {
        EXPECT(mine[k] == wanted);
        mine[k] = 0;
    }
    CALL(ARMCI_Access_end, mine);
    CALL(armci_msg_barrier);
}

static void one_sided(void) {
    const int bytes = 4 * sizeof(double);
    int count[1] = {bytes}, stride[1] = {bytes}, *flag = (int*)(share[next] + 32);
    double one = 1;
    void *from[1] = {source}, *to[1] = {target};
    armci_giov_t iov = {from, to, bytes, 1}, back = {to, from, bytes, 1};
    armci_hdl_t handle;

    CALL(ARMCI_Put, source, target, bytes, next), expect_and_clear(2);
    CALL(ARMCI_PutS, source, stride, target, stride, count, 0, next), expect_and_clear(2);
    CALL(ARMCI_PutV, &iov, 1, next), expect_and_clear(2);
    CALL(ARMCI_Put_flag, source, target, bytes, flag, 1, next), expect_and_clear(2);
    CALL(ARMCI_PutS_flag, source, stride, target, stride, count, 0, flag, 1, next);
    expect_and_clear(2);
    CALL(ARMCI_Acc, ARMCI_ACC_DBL, &one, source, target, bytes, next), expect_and_clear(2);
    CALL(ARMCI_AccS, ARMCI_ACC_DBL, &one, source, stride, target, stride, count, 0, next);
    expect_and_clear(2);
    CALL(ARMCI_AccV, ARMCI_ACC_DBL, &one, &iov, 1, next), expect_and_clear(2);

    ARMCI_INIT_HANDLE(&handle);
    CALL(ARMCI_NbPut, source, target, bytes, next, &handle), CALL(ARMCI_Wait, &handle);
    expect_and_clear(2);
    CALL(ARMCI_NbPutS, source, stride, target, stride, count, 0, next, &handle);
    CALL(ARMCI_WaitProc, next), expect_and_clear(2);
    CALL(ARMCI_NbPutV, &iov, 1, next, &handle), CALL(ARMCI_WaitAll), expect_and_clear(2);
    CALL(ARMCI_NbAcc, ARMCI_ACC_DBL, &one, source, target, bytes, next, &handle);
    CALL(ARMCI_Fence, next), expect_and_clear(2);
    CALL(ARMCI_NbAccS, ARMCI_ACC_DBL, &one, source, stride, target, stride, count, 0, next,
         &handle);
    CALL(ARMCI_Wait, &handle), expect_and_clear(2);
    CALL(ARMCI_NbAccV, ARMCI_ACC_DBL, &one, &iov, 1, next, &handle);
    CALL(ARMCI_Test, &handle), expect_and_clear(2);

    CALL(ARMCI_Put, source, target, bytes, next), CALL(ARMCI_Fence, next);
    double got[4] = {0};
    to[0] = got, from[0] = target;
    iov = back, iov.src_ptr_array = from, iov.dst_ptr_array = to;
    CALL(ARMCI_Get, target, got, bytes, next);
    EXPECT(got[3] == 2);
    CALL(ARMCI_GetS, target, stride, got, stride, count, 0, next);
    CALL(ARMCI_GetV, &iov, 1, next);
    CALL(ARMCI_NbGet, target, got, bytes, next, &handle), CALL(ARMCI_Wait, &handle);
    CALL(ARMCI_NbGetS, target, stride, got, stride, count, 0, next, &handle);
    CALL(ARMCI_NbGetV, &iov, 1, next, &handle), CALL(ARMCI_WaitAll);
    EXPECT(got[0] == 2);
    EXPECT(CALL(ARMCI_GetValueDouble, target, next) == 2);
    settle();
}

static void values(void) {
    armci_hdl_t handle;
    ARMCI_INIT_HANDLE(&handle);
    int* whole = (int*)(share[next] + 33);
    long *longs = (long*)(share[next] + 34), old = 0;
    float* single = (float*)(share[next] + 35);
    CALL(ARMCI_PutValueInt, 7, whole, next), CALL(ARMCI_PutValueLong, 8, longs, next);
    CALL(ARMCI_PutValueFloat, 9, single, next), CALL(ARMCI_PutValueDouble, 2, target, next);
    CALL(ARMCI_Fence, next);
    EXPECT(CALL(ARMCI_GetValueInt, whole, next) == 7);
    EXPECT(CALL(ARMCI_GetValueLong, longs, next) == 8);
    EXPECT(CALL(ARMCI_GetValueFloat, single, next) == 9);
    CALL(ARMCI_NbPutValueInt, 1, whole, next, &handle);
    CALL(ARMCI_NbPutValueLong, 2, longs, next, &handle);
    CALL(ARMCI_NbPutValueFloat, 3, single, next, &handle);
    CALL(ARMCI_NbPutValueDouble, 4, target, next, &handle), CALL(ARMCI_WaitAll);
    CALL(ARMCI_Fence, next);
    CALL(ARMCI_Rmw, ARMCI_FETCH_AND_ADD_LONG, &old, longs, 5, next);
    EXPECT(old == 2);
    CALL(ARMCI_Barrier);
}

static void mutexes(void) {
    CALL(ARMCI_Create_mutexes, 1);
    CALL(ARMCI_Lock, 0, 0), CALL(ARMCI_Unlock, 0, 0);
    CALL(ARMCI_Destroy_mutexes);
    ARMCI_Group world;
    ARMCI_Group_get_world(&world);
    armcix_mutex_hdl_t handle = CALL(ARMCIX_Create_mutexes_hdl, 1, &world);
    CALL(ARMCIX_Lock_hdl, handle, 0, 0), CALL(ARMCIX_Unlock_hdl, handle, 0, 0);
    EXPECT(CALL(ARMCIX_Trylock_hdl, handle, 0, 0) == 0);
    CALL(ARMCIX_Unlock_hdl, handle, 0, 0);
    CALL(ARMCIX_Destroy_mutexes_hdl, handle);
}

static void messages(ARMCI_Group* group) {
    int i = 1, length = 0;
    long l = 1;
    long long ll = 1;
    float f = 1;
    double d = 1;
    CALL(armci_msg_igop, &i, 1, "+"), CALL(armci_msg_lgop, &l, 1, "+");
    CALL(armci_msg_llgop, &ll, 1, "+"), CALL(armci_msg_fgop, &f, 1, "+");
    CALL(armci_msg_dgop, &d, 1, "+");
    EXPECT(i == ranks && l == ranks && ll == ranks && f == ranks && d == ranks);
    CALL(armci_msg_gop_scope, SCOPE_ALL, &i, 1, "max", ARMCI_INT);
    CALL(armci_msg_group_igop, &i, 1, "max", group),
        CALL(armci_msg_group_lgop, &l, 1, "max", group);
    CALL(armci_msg_group_llgop, &ll, 1, "max", group);
    CALL(armci_msg_group_fgop, &f, 1, "max", group);
    CALL(armci_msg_group_dgop, &d, 1, "max", group);
    CALL(armci_msg_group_gop_scope, SCOPE_ALL, &i, 1, "max", ARMCI_INT, group);
    EXPECT(i == ranks && d == ranks);

    d = rank;
    CALL(armci_msg_sel, &d, sizeof d, "max", ARMCI_DOUBLE, 1);
    CALL(armci_msg_sel_scope, SCOPE_ALL, &d, sizeof d, "max", ARMCI_DOUBLE, 1);
    EXPECT(d == ranks - 1);

    i = rank == 0 ? 42 : 0;
    CALL(armci_msg_brdcst, &i, sizeof i, 0), CALL(armci_msg_bcast, &i, sizeof i, 0);
    CALL(armci_msg_bcast_scope, SCOPE_ALL, &i, sizeof i, 0);
    CALL(armci_msg_group_bcast_scope, SCOPE_ALL, &i, sizeof i, 0, group);
    EXPECT(i == 42);
    CALL(armci_msg_group_barrier, group);

    if (ranks == 1) return;
    if (rank == 0) {
        CALL(armci_msg_snd, 5, &i, sizeof i, 1), CALL(armci_msg_snd, 6, &i, sizeof i, 1);
    } else if (rank == 1) {
        i = 0;
        CALL(armci_msg_rcv, 5, &i, sizeof i, &length, 0);
        EXPECT(i == 42 && length == sizeof i);
        EXPECT(CALL(armci_msg_rcvany, 6, &i, sizeof i, &length) == 0);
    }
}

static void groups(void) {
    ARMCI_Group world, same, child, split, copy;
    int *members = malloc(sizeof(int) * (size_t)ranks), size = 0;
    void** bases = malloc(sizeof(void*) * (size_t)ranks);
    for (int k = 0; k < ranks; k++) members[k] = k;
    ARMCI_Group_get_world(&world);
    CALL(ARMCI_Group_create, ranks, members, &same);
    CALL(ARMCI_Group_create_child, ranks, members, &child, &world);
    CALL(ARMCIX_Group_split, &world, 0, rank, &split);
    CALL(ARMCIX_Group_dup, &world, &copy);
    ARMCI_Group_size(&child, &size);
    EXPECT(size == ranks);
    CALL(ARMCI_Malloc_group, bases, 64, &child);
    CALL(ARMCI_Put, source, bases[next], 8, next), settle();
    EXPECT(*(double*)bases[rank] == 2);
    CALL(armci_msg_barrier);
    CALL(ARMCI_Free_group, bases[rank], &child);
    CALL(ARMCI_Malloc_memdev, bases, 64, "ddr"), CALL(ARMCI_Free_memdev, bases[rank]);
    CALL(ARMCI_Malloc_group_memdev, bases, 64, &child, "ddr"), CALL(ARMCI_Free, bases[rank]);
    messages(&child);
    CALL(ARMCI_Group_free, &same), CALL(ARMCI_Group_free, &child);
    CALL(ARMCI_Group_free, &split), CALL(ARMCI_Group_free, &copy);
    free(members);
    free(bases);
}

static int redirected(const char* path) {
    if (path == NULL) return 0;
    char name[4096];
    int world;
    MPI_Comm_rank(MPI_COMM_WORLD, &world);
    snprintf(name, sizeof name, "%s.%d", path, world);
    return freopen(name, "w", stderr) != NULL;
}

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    talks = redirected(getenv("ARMCI_CALLS_LOG"));
    if (ARMCI_Init_args(&argc, &argv) != 0) return 1;
    rank = armci_msg_me(), ranks = armci_msg_nproc(), next = (rank + 1) % ranks;

    share = malloc(sizeof *share * (size_t)ranks);
    CALL(ARMCI_Malloc, (void**)share, kWords * sizeof(double));
    source = ARMCI_Malloc_local(4 * sizeof(double));
    for (int k = 0; k < 4; k++) source[k] = 2;
    mine = share[rank], target = share[next];
    for (int k = 0; k < kWords; k++) mine[k] = 0;
    CALL(ARMCI_Barrier);

    one_sided();
    values();
    mutexes();
    groups();

    ARMCI_Free_local(source);
    CALL(ARMCI_Free, mine);
    free(share);
    CALL(ARMCI_Finalize);
    MPI_Finalize();
    return errors != 0;
}
