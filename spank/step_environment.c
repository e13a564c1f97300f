#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "spank/plugin.h"

#define LINE_PAGE_ENV "GRL_LINE_PAGE"         /* grl/page/line_page.h */
#define AGENT_LIBRARY_ENV "GRL_AGENT_LIBRARY" /* grl/page/line_page.h */

/* Also on a node that cannot protect the step: two kinds of fence in one collective never end. */
void grl_environment_fence(spank_t spank, const struct grl_arguments* arguments,
                           uint32_t step_nodes) {
    /* By default PMIx_Fence lets each node go by itself while the step has fewer nodes than
     * TreeWidth. The ring is a barrier for any number, the tree for more, in fewer hops. */
    const unsigned width = arguments->tree_width != 0 ? arguments->tree_width : GRL_TREE_WIDTH;
    spank_setenv(spank, "SLURM_PMIX_FENCE", step_nodes < width ? "ring" : "tree", 1);
    /* Without direct connections neither is one. */
    char value[16];
    if (spank_getenv(spank, "SLURM_PMIX_DIRECT_CONN", value, sizeof value) != ESPANK_ENV_NOEXIST)
        spank_setenv(spank, "SLURM_PMIX_DIRECT_CONN", "true", 1);
}

/* Behind what the user preloads: a profiler's functions call MPI's by their second names, which are
 * the preload's, too. Where that library is not, the loader would complain in every process. */
static void preload(spank_t spank, const char* library) {
    if (library == NULL || access(library, R_OK) != 0) return;
    char list[4096];
    const spank_err_t found = spank_getenv(spank, "LD_PRELOAD", list, (int)sizeof list);
    size_t used = found == ESPANK_SUCCESS ? strlen(list) : 0;
    if (found == ESPANK_NOSPACE || used + 1 + strlen(library) >= sizeof list) return;
    snprintf(list + used, sizeof list - used, "%s%s", used != 0 ? ":" : "", library);
    spank_setenv(spank, "LD_PRELOAD", list, 1);
}

void grl_environment_protect(spank_t spank, const struct grl_arguments* arguments,
                             const char* page) {
    /* OpenMPI's other one-sided components fail in MPI_Win_allocate between nodes over TCP (sm is
     * for windows within a node); and parked ranks that spin would take the processor from those
     * that still have to fall silent. What the user's environment has chosen stays. */
    spank_setenv(spank, "OMPI_MCA_osc", "pt2pt,sm", 0);
    spank_setenv(spank, "OMPI_MCA_mpi_yield_when_idle", "1", 0);
    spank_setenv(spank, AGENT_LIBRARY_ENV, arguments->agent, 1);
    spank_setenv(spank, LINE_PAGE_ENV, page, 1);
    preload(spank, arguments->mpi);
}

/* An outer step's page is not this step's. */
void grl_environment_unprotect(spank_t spank) {
    spank_unsetenv(spank, LINE_PAGE_ENV);
    spank_unsetenv(spank, AGENT_LIBRARY_ENV);
}

/* After a rollback slurmctld still counts steps that began after the cut, and a step that shares
 * nothing would wait for them for ever. */
void grl_environment_batch(spank_t spank) {
    spank_setenv(spank, "SLURM_OVERLAP", "1", 0);
}
