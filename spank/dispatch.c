/* spank_grl: protection of a step by global recovery lines. The whole plugin at a glance:
 *
 *   process       file          does
 *   sbatch,salloc allocator.c   checks the values; the option travels with the job by itself
 *   srun          srun.c        asks the coordinator before the launch, decides, passes that on
 *   slurmstepd    slurmstepd.c  starts grl-master, sets the step's environment; ends grl-master
 *                 batch.c       of the batch script: says at its end if no step was protected
 *   slurmd, prolog, epilog      nothing: no mistake here may stop a node
 *
 * Light on purpose: it lives in srun and slurmstepd, so the networking is in grl-master. */
#include <stdlib.h>

#include "spank/plugin.h"

#define EXPORT __attribute__((visibility("default")))

extern const char plugin_name[] EXPORT;
extern const char plugin_type[] EXPORT;
extern const unsigned int plugin_version EXPORT;
extern const unsigned int spank_plugin_version EXPORT;
SPANK_PLUGIN(grl, 1)

static struct grl_plugin plugin;

EXPORT int slurm_spank_init(spank_t spank, int argc, char* argv[]) {
    const spank_context_t context = spank_context();
    if (context != S_CTX_LOCAL && context != S_CTX_ALLOCATOR && context != S_CTX_REMOTE) return 0;
    const bool good = grl_arguments_parse(argc, argv, &plugin.arguments, plugin.bad_arguments,
                                          sizeof plugin.bad_arguments);
    if (!good && context != S_CTX_REMOTE) { /* slurmstepd.c tells it where it matters */
        slurm_error("grl: %s", plugin.bad_arguments);
        return -1;
    }
    if (context == S_CTX_ALLOCATOR) grl_allocator_init(spank, &plugin);
    if (context == S_CTX_LOCAL) grl_srun_init(spank, &plugin);
    return grl_option_register(spank, &plugin) == ESPANK_SUCCESS ? 0 : -1;
}

EXPORT int slurm_spank_init_post_opt(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    switch (spank_context()) {
        case S_CTX_ALLOCATOR:
            return grl_allocator_post_options(spank, &plugin);
        case S_CTX_LOCAL:
            return grl_srun_post_options(&plugin);
        case S_CTX_REMOTE:
            return grl_stepd_post_options(spank, &plugin);
        default:
            return 0;
    }
}

/* srun: the step exists and its nodes are known; nothing has been launched. */
EXPORT int slurm_spank_local_user_init(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    return grl_srun_before_launch(spank, &plugin);
}

/* slurmstepd: from here on its errors reach the user's terminal. */
EXPORT int slurm_spank_user_init(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    return spank_remote(spank) == 1 ? grl_stepd_user_init(spank) : 0;
}

EXPORT int slurm_spank_task_init(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    return spank_remote(spank) == 1 ? grl_stepd_task_init() : 0;
}

EXPORT int slurm_spank_task_exit(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    return spank_remote(spank) == 1 ? grl_stepd_task_exit() : 0;
}

EXPORT int slurm_spank_exit(spank_t spank, int argc, char* argv[]) {
    (void)argc, (void)argv;
    return spank_remote(spank) == 1 ? grl_stepd_exit() : 0;
}
