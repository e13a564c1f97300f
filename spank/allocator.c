/* sbatch and salloc: mistakes are told before the job waits in the queue. */
#include <stdlib.h>

#include "spank/inherited.h"
#include "spank/plugin.h"

/* Run from inside a protected job they begin another one, which has its own wish and takes the
 * environment along. */
void grl_allocator_init(spank_t spank, const struct grl_plugin* plugin) {
    grl_inherited_strip(plugin->arguments.mpi);
    unsetenv(GRL_STEP_ENV);
    unsetenv(GRL_INHERITED_ENV);
    spank_job_control_unsetenv(spank, GRL_OPTION_ENV);
}

int grl_allocator_post_options(spank_t spank, struct grl_plugin* plugin) {
    char why[GRL_WHY_SIZE];
    struct grl_wish wish;
    bool asked = false;
    const char* environment = getenv(GRL_CHECKPOINT_ENV);
    if (!grl_option_resolve(plugin, environment, &wish, &asked, why, sizeof why)) {
        slurm_error("grl: %s", why);
        return -1;
    }
    if (asked && plugin->option.answer == GRL_UNSET) {
        /* The job's own environment may not be exported; the variable is to count as the option. */
        char value[32];
        grl_wish_format(wish, value, sizeof value);
        spank_job_control_setenv(spank, GRL_OPTION_ENV, value, 1);
    }
    return 0;
}
