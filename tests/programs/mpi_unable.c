/* An MPI that does not come up, and an agent library that tells how it is called. */
#include <mpi.h>
#include <stdio.h>

int PMPI_Init(int* argc, char*** argv) {
    (void)argc;
    (void)argv;
    printf("MPI does not come up\n");
    return MPI_ERR_OTHER;
}

/* One library has both names, as MPI's own has: this is no profiler. */
int MPI_Init(int* argc, char*** argv) {
    return PMPI_Init(argc, argv);
}

int grl_agent_announce(char* why, size_t why_bytes) {
    (void)why;
    (void)why_bytes;
    printf("announced\n");
    return 0;
}

void grl_agent_retract(void) {
    printf("retracted\n");
}
