/* What the files of the plugin share. One file per Slurm context; dispatch.c calls them and tells
 * which process runs what. Slurm calls a plugin from one thread. */
#ifndef GRL_SPANK_PLUGIN_H
#define GRL_SPANK_PLUGIN_H

#include <slurm/spank.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "spank/arguments.h"
#include "spank/wish.h"

/* As --grl-checkpoint, for whoever did not give that. */
#define GRL_CHECKPOINT_ENV "GRL_CHECKPOINT"
/* How Slurm keeps an option of sbatch or salloc with the job, and hands it to what runs in it. */
#define GRL_OPTION_ENV "_SLURM_SPANK_OPTION_grl_grl_checkpoint"
#define GRL_INHERITED_ENV "SLURM_SPANK_" GRL_OPTION_ENV
/* Slurm gives the tasks of a step that overlaps this word; srun tells slurmstepd by the other that
 * it was the plugin's doing. */
#define GRL_OVERLAP_ENV "SLURM_OVERLAP"
#define GRL_OVERLAPS_ENV "SLURM_GRL_OVERLAPS"
#define GRL_WHY_SIZE 640 /* bytes of one line of reason */

struct grl_plugin {
    struct grl_arguments arguments;
    char bad_arguments[GRL_WHY_SIZE]; /* empty: they are good */
    struct grl_wish option;           /* --grl-checkpoint's */
    unsigned option_calls;
    bool option_inherited; /* sbatch or salloc had the option; srun may have it, too */
};

/* option.c: the option, and what follows from option, environment and site together. */
spank_err_t grl_option_register(spank_t spank, struct grl_plugin* plugin);
/* `environment` is the value of GRL_CHECKPOINT or NULL. `asked`: by the user, not the site. False
 * with `why` if that value is none, or if protection is asked for and no coordinator known. */
bool grl_option_resolve(const struct grl_plugin* plugin, const char* environment,
                        struct grl_wish* wish, bool* asked, char* why, size_t why_size);

void grl_allocator_init(spank_t spank, const struct grl_plugin* plugin);
void grl_srun_init(spank_t spank, const struct grl_plugin* plugin);

/* Each returns what its callback returns: 0, or -1 after one line to the user. */
int grl_allocator_post_options(spank_t spank, struct grl_plugin* plugin);

int grl_srun_post_options(struct grl_plugin* plugin);
int grl_srun_before_launch(spank_t spank, struct grl_plugin* plugin);

int grl_stepd_post_options(spank_t spank, struct grl_plugin* plugin);
int grl_stepd_user_init(spank_t spank);
int grl_stepd_task_init(void);
int grl_stepd_task_exit(void);
int grl_stepd_exit(void);

/* The directory in which this node's parts find each other. False with `why`. */
bool grl_prepare_run_directory(char* why, size_t why_size);

/* batch.c: the batch script, and what else runs in a job beside its steps, is never protected. */
void grl_batch_begin(spank_t spank, const struct grl_plugin* plugin, uint32_t job);
void grl_batch_task_exit(void);
void grl_batch_end(void);

/* step_environment.c: what the ranks of a protected step need, and what others must not have. */
bool grl_environment_look(void* spank, const char* name, char* value, size_t size);
void grl_environment_fence(spank_t spank, const struct grl_arguments* arguments,
                           uint32_t step_nodes);
void grl_environment_protect(spank_t spank, const struct grl_arguments* arguments,
                             const char* page);
void grl_environment_yield(spank_t spank); /* reads the user's files: as the user */
void grl_environment_unprotect(spank_t spank);

#endif
