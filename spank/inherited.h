/* What protection leaves in the environment of a step, and taking it out again: a job or a step
 * that is begun from inside a protected one starts from what it would find without GRL. Each
 * variable that is set has a record beside it, so that what somebody has changed since stays. Works
 * on the process's own environment: in sbatch, salloc and srun, before they read it. */
#ifndef GRL_SPANK_INHERITED_H
#define GRL_SPANK_INHERITED_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* GRL_SET_name holds what GRL has put into `name`, GRL_WAS_name what was there before, if anything
 * was. */
#define GRL_SET_RECORD "GRL_SET_"
#define GRL_WAS_RECORD "GRL_WAS_"

#define GRL_FENCE_ENV "SLURM_PMIX_FENCE"
#define GRL_YIELD_ENV "OMPI_MCA_mpi_yield_when_idle"
#define GRL_PAGE_ENV "GRL_LINE_PAGE"      /* grl/page/line_page.h */
#define GRL_AGENT_ENV "GRL_AGENT_LIBRARY" /* grl/page/line_page.h */
#define GRL_PRELOAD_ENV "LD_PRELOAD"

/* Takes out what a protected step has been given; `library` is what it preloads, or empty. */
void grl_inherited_strip(const char* library);

#ifdef __cplusplus
}
#endif

#endif
