/* The arguments of the plugin's line in plugstack.conf. The table in arguments.c is all there is;
 * docs/configuration.md explains it to the administrator. Pure; any thread. */
#ifndef GRL_SPANK_ARGUMENTS_H
#define GRL_SPANK_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "spank/wish.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Slurm's own default; arguments that could not be read are all zero. */
#define GRL_TREE_WIDTH 50

/* Texts point into the argument vector, which lives as long as the plugin, or are literals. */
struct grl_arguments {
    const char* coordinator;   /* HOST:PORT; NULL: nothing can be protected */
    const char* munge_socket;  /* NULL: MUNGE's own */
    const char* master;        /* path of grl-master */
    const char* agent;         /* path of libgrl_agent.so */
    const char* mpi;           /* path of libgrl_mpi.so; empty: MPI calls do not pass a gate */
    const char* log;           /* path of the masters' log file */
    struct grl_wish site_wish; /* default= */
    unsigned deadline_s;       /* for a check, and for a master to be ready */
    unsigned tree_width;       /* TreeWidth of slurm.conf */
};

/* Reads all arguments over the defaults. False with one line in `why` that names the argument. */
bool grl_arguments_parse(int count, char* const arguments[], struct grl_arguments* read, char* why,
                         size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
