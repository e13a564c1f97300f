/* srun: resolves what is asked, asks the coordinator whether it can be had, and passes the decision
 * to every slurmstepd of the step in GRL_STEP_ENV.
 *
 *   wanted by     step without PMIx              coordinator says no
 *   srun's option refused                        refused
 *   job's option  runs unprotected, one line     refused
 *   the site      runs unprotected               runs unprotected, one line
 */
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spank/helper.h"
#include "spank/plugin.h"

static struct grl_wish wish;
static bool asked;

int grl_srun_post_options(struct grl_plugin* plugin) {
    char why[GRL_WHY_SIZE];
    if (grl_option_resolve(plugin, getenv(GRL_CHECKPOINT_ENV), &wish, &asked, why, sizeof why))
        return 0;
    slurm_error("grl: %s", why);
    return -1;
}

static void pass_on(struct grl_decision decision) {
    char text[32];
    grl_decision_format(decision, text, sizeof text);
    setenv(GRL_STEP_ENV, text, 1);
}

/* The ranks of such a step have no fence by which to agree on silence. */
static bool uses_pmix(void) {
    const char* type = getenv("SLURM_MPI_TYPE");
    return type == NULL || strncmp(type, "pmix", 4) == 0;
}

/* The step's nodes with commas between, to be freed; NULL with errno. */
static char* step_nodes(uint32_t job, uint32_t step) {
    slurm_step_id_t id = {.job_id = job, .step_id = step, .step_het_comp = NO_VAL};
    slurm_step_layout_t* layout = slurm_job_step_layout_get(&id);
    if (layout == NULL) return NULL;
    hostlist_t hosts = slurm_hostlist_create(layout->node_list);
    char* text = NULL;
    size_t size = 0;
    FILE* out = open_memstream(&text, &size);
    char* host;
    while (hosts != NULL && out != NULL && (host = slurm_hostlist_shift(hosts)) != NULL) {
        fprintf(out, "%s%s", ftell(out) > 0 ? "," : "", host);
        free(host);
    }
    if (out != NULL) fclose(out);
    if (hosts != NULL) slurm_hostlist_destroy(hosts);
    slurm_job_step_layout_free(layout);
    return text;
}

static struct grl_answer_line ask_coordinator(const struct grl_arguments* arguments, uint32_t job,
                                              uint32_t step) {
    struct grl_answer_line answer = {.ready = false};
    char* nodes = step_nodes(job, step);
    if (nodes == NULL) {
        snprintf(answer.text, sizeof answer.text, "cannot learn the step's nodes from slurmctld");
        return answer;
    }
    const unsigned limit_ms = arguments->deadline_s * 1000;
    struct grl_command command = {.count = 0};
    grl_command_add(&command, "%s", arguments->master);
    grl_command_add(&command, "--check");
    grl_command_add(&command, "--coordinator=%s", arguments->coordinator);
    if (arguments->munge_socket != NULL)
        grl_command_add(&command, "--munge-socket=%s", arguments->munge_socket);
    grl_command_add(&command, "--job=%u", job);
    grl_command_add(&command, "--step=%u", step);
    grl_command_add(&command, "--limit-ms=%u", limit_ms - limit_ms / 10);
    grl_command_add(&command, "--nodes");
    grl_command_add_word(&command, nodes);
    answer = grl_helper_run(&command, -1, (int)limit_ms);
    free(nodes);
    return answer;
}

int grl_srun_before_launch(spank_t spank, struct grl_plugin* plugin) {
    const struct grl_decision unprotected = {.protect = false};
    pass_on(unprotected); /* also against a value of an outer step */
    if (wish.answer != GRL_YES) return 0;
    if (!uses_pmix()) {
        const bool own = plugin->option_calls > (plugin->option_inherited ? 1U : 0U);
        if (own) {
            slurm_error("grl: --grl-checkpoint: the step does not use PMIx: add --mpi=pmix");
            return -1;
        }
        if (asked) slurm_info("grl: this step does not use PMIx, so it runs unprotected");
        return 0;
    }
    uint32_t job = 0, step = 0;
    if (spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS) {
        slurm_error("grl: Slurm does not tell the step's number");
        return asked ? -1 : 0;
    }
    const struct grl_answer_line answer = ask_coordinator(&plugin->arguments, job, step);
    if (answer.ready) {
        const struct grl_decision protect = {true, asked, wish.every_s};
        pass_on(protect);
        return 0;
    }
    if (asked) {
        slurm_error("grl: the step cannot be protected: %s", answer.text);
        return -1;
    }
    slurm_info("grl: warning: the step runs unprotected: %s", answer.text);
    return 0;
}
