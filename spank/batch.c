/* The batch script's slurmstepd. A user who has asked for protection of the job is told, in the
 * job's output, if nothing of it was protected: what mpirun begins on the script's own node passes
 * no srun that could say so. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "spank/marks.h"
#include "spank/plugin.h"

static int reader = -1; /* of what the job's sruns note; -1: nobody is to be told of anything */
static uint32_t job;
static const char* node;

void grl_batch_begin(spank_t spank, const struct grl_plugin* plugin, uint32_t number) {
    char value[64], why[GRL_WHY_SIZE];
    const bool given = spank_getenv(spank, GRL_INHERITED_ENV, value, sizeof value) == 0 ||
                       spank_getenv(spank, GRL_CHECKPOINT_ENV, value, sizeof value) == 0;
    struct grl_wish wish;
    bool asked = false;
    uid_t user = 0;
    job = number;
    node = getenv("SLURMD_NODENAME");
    if (node == NULL || strchr(node, '/') != NULL ||
        !grl_option_resolve(plugin, given ? value : NULL, &wish, &asked, why, sizeof why) ||
        wish.answer != GRL_YES || !asked ||
        spank_get_item(spank, S_JOB_UID, &user) != ESPANK_SUCCESS)
        return;
    if (grl_prepare_run_directory(why, sizeof why))
        reader = grl_job_listen(GRL_MARKS_DIRECTORY, node, job, user);
}

void grl_batch_task_exit(void) {
    if (reader < 0) return;
    const bool noted = grl_job_was_noted(reader, GRL_MARKS_DIRECTORY, node, job);
    reader = -1;
    if (!noted)
        slurm_error(
            "grl: the job asked for protection, but nothing in it was protected: only programs "
            "begun with srun --mpi=pmix are, those begun with mpirun are not");
}

void grl_batch_end(void) {
    if (reader >= 0) grl_job_was_noted(reader, GRL_MARKS_DIRECTORY, node, job);
    reader = -1;
    if (node != NULL) grl_unmark_restored(GRL_MARKS_DIRECTORY, node, job);
}
