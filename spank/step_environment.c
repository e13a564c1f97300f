#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "grl/mca/settings.h"
#include "spank/inherited.h"
#include "spank/plugin.h"

bool grl_environment_look(void* spank, const char* name, char* value, size_t size) {
    return spank_getenv(spank, name, value, (int)size) == ESPANK_SUCCESS;
}

/* With the record by which inherited.c puts it back. */
static void set(spank_t spank, const char* name, const char* value) {
    char record[64], was[64];
    const spank_err_t found = spank_getenv(spank, name, was, sizeof was);
    if (found == ESPANK_SUCCESS && strcmp(was, value) == 0) return;
    if (found == ESPANK_SUCCESS) {
        snprintf(record, sizeof record, GRL_WAS_RECORD "%s", name);
        spank_setenv(spank, record, was, 1);
    }
    snprintf(record, sizeof record, GRL_SET_RECORD "%s", name);
    spank_setenv(spank, record, value, 1);
    spank_setenv(spank, name, value, 1);
}

/* Also on a node that cannot protect the step: two kinds of fence in one collective never end. */
void grl_environment_fence(spank_t spank, const struct grl_arguments* arguments,
                           uint32_t step_nodes) {
    /* By default PMIx_Fence lets each node go by itself while the step has fewer nodes than
     * TreeWidth. The ring is a barrier for any number, the tree for more, in fewer hops. */
    const unsigned width = arguments->tree_width != 0 ? arguments->tree_width : GRL_TREE_WIDTH;
    set(spank, GRL_FENCE_ENV, step_nodes < width ? "ring" : "tree");
}

/* Behind what the user preloads: a profiler's functions call MPI's by their second names, which are
 * the preload's, too. Where that library is not, the loader would complain in every process. */
static void preload(spank_t spank, const char* library) {
    if (library == NULL || access(library, R_OK) != 0) return;
    char list[4096];
    const spank_err_t found = spank_getenv(spank, GRL_PRELOAD_ENV, list, (int)sizeof list);
    size_t used = found == ESPANK_SUCCESS ? strlen(list) : 0;
    if (found == ESPANK_NOSPACE || used + 1 + strlen(library) >= sizeof list) return;
    snprintf(list + used, sizeof list - used, "%s%s", used != 0 ? ":" : "", library);
    spank_setenv(spank, GRL_PRELOAD_ENV, list, 1);
}

/* No component of Open MPI is chosen here: what a program runs over is what it would run over
 * without GRL. */
void grl_environment_protect(spank_t spank, const struct grl_arguments* arguments,
                             const char* page) {
    spank_setenv(spank, GRL_AGENT_ENV, arguments->agent, 1);
    spank_setenv(spank, GRL_PAGE_ENV, page, 1);
    preload(spank, arguments->mpi);
}

/* Ranks that wait for the others and spin would take the processor from those that still have to
 * fall silent. What the user's environment or files have chosen stays. */
void grl_environment_yield(spank_t spank) {
    struct grl_mca_setting chosen;
    if (!grl_mca_find(&grl_mca_open_mpi, "mpi_yield_when_idle", grl_environment_look, spank,
                      &chosen))
        set(spank, GRL_YIELD_ENV, "1");
}

/* An outer step's page is not this step's, and the step's overlapping not its tasks'. */
void grl_environment_unprotect(spank_t spank) {
    char value[8];
    if (spank_getenv(spank, GRL_OVERLAPS_ENV, value, sizeof value) == ESPANK_SUCCESS) {
        spank_unsetenv(spank, GRL_OVERLAP_ENV);
        spank_unsetenv(spank, GRL_OVERLAPS_ENV);
    }
    spank_unsetenv(spank, GRL_PAGE_ENV);
    spank_unsetenv(spank, GRL_AGENT_ENV);
}
