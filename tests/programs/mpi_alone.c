/* A program that goes on by itself where MPI does not come up. */
#include <mpi.h>
#include <stdio.h>

int main(int argc, char** argv) {
    if (MPI_Init(&argc, &argv) == MPI_SUCCESS) return 1;
    printf("alone\n");
    return 0;
}
