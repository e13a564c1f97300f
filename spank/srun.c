/* srun: resolves what is asked, asks the coordinator whether it can be had, and passes the decision
 * to every slurmstepd of the step in GRL_STEP_ENV.
 *
 *   wanted by     no PMIx, or beside another       cannot be protected: settings,
 *                 protected step                   heterogeneous, coordinator's no
 *   srun's option refused                          refused
 *   job's option  runs unprotected, one line       refused
 *   the site      runs unprotected                 runs unprotected, one line
 */
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "spank/helper.h"
#include "spank/inherited.h"
#include "spank/launcher.h"
#include "spank/marks.h"
#include "spank/plugin.h"
#include "spank/settings.h"

static struct grl_wish wish;
static bool asked;
static bool overlaps; /* by this plugin's doing */

static uint32_t job_around(void) {
    const char* text = getenv("SLURM_JOB_ID");
    return text != NULL ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

static const char* this_node(void) {
    const char* node = getenv("SLURMD_NODENAME");
    return node != NULL && strchr(node, '/') == NULL ? node : NULL;
}

/* Before srun reads its environment. After a rollback slurmctld still counts steps that began after
 * the cut, and a step that shares nothing would wait for them for ever. Only then: steps that are
 * packed side by side count on sharing nothing. */
void grl_srun_init(spank_t spank, const struct grl_plugin* plugin) {
    grl_inherited_strip(plugin->arguments.mpi);
    const uint32_t job = job_around();
    if (job == 0) {
        /* A job of its own, perhaps begun from inside another. */
        unsetenv(GRL_INHERITED_ENV);
        spank_job_control_unsetenv(spank, GRL_OPTION_ENV);
        return;
    }
    const char* node = this_node();
    overlaps = node != NULL && getenv(GRL_OVERLAP_ENV) == NULL &&
               grl_is_restored(GRL_MARKS_DIRECTORY, node, job);
    if (overlaps) setenv(GRL_OVERLAP_ENV, "1", 1);
}

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

struct step_nodes {
    char* names; /* with commas between, to be freed; NULL: Slurm does not tell */
    uint32_t count;
};

static struct step_nodes step_nodes(uint32_t job, uint32_t step) {
    struct step_nodes nodes = {.count = 0};
    slurm_step_id_t id = {.job_id = job, .step_id = step, .step_het_comp = NO_VAL};
    slurm_step_layout_t* layout = slurm_job_step_layout_get(&id);
    if (layout == NULL) return nodes;
    hostlist_t hosts = slurm_hostlist_create(layout->node_list);
    size_t size = 0;
    FILE* out = open_memstream(&nodes.names, &size);
    char* host;
    while (hosts != NULL && out != NULL && (host = slurm_hostlist_shift(hosts)) != NULL) {
        fprintf(out, "%s%s", nodes.count++ != 0 ? "," : "", host);
        free(host);
    }
    if (out != NULL) fclose(out);
    if (hosts != NULL) slurm_hostlist_destroy(hosts);
    slurm_job_step_layout_free(layout);
    return nodes;
}

/* mpi.conf, as slurmctld has read it. Slurm prints it, and tells it in no other way. */
static bool conf_allows(uint32_t nodes, char* why, size_t size) {
    slurm_conf_t* conf = NULL;
    if (slurm_load_ctl_conf(0, &conf) != SLURM_SUCCESS) return true; /* known when it matters */
    char* text = NULL;
    size_t length = 0;
    FILE* out = conf->mpi_conf != NULL ? open_memstream(&text, &length) : NULL;
    if (out != NULL) {
        static char title[] = "";
        slurm_print_key_pairs(out, conf->mpi_conf, title);
        fclose(out);
    }
    slurm_free_ctl_conf(conf);
    const bool allowed = grl_settings_allow_conf(text, nodes, why, size);
    free(text);
    return allowed;
}

static struct grl_answer_line ask_coordinator(const struct grl_arguments* arguments, uint32_t job,
                                              uint32_t step, const char* nodes) {
    struct grl_answer_line answer = {.ready = false};
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
    return grl_helper_run(&command, -1, (int)limit_ms);
}

/* What forbids a line whatever the coordinator says. */
static bool possible(uint32_t nodes, char* why, size_t size) {
    const char* components = getenv("SLURM_HET_SIZE");
    if (components != NULL && strtoul(components, NULL, 10) > 1) {
        snprintf(why, size,
                 "a line covers one component and this job has %s: ask for all nodes in one "
                 "component, or for --grl-checkpoint=no",
                 components);
        return false;
    }
    if (grl_command_has_components()) {
        snprintf(why, size,
                 "a line covers one component and this step has several: begin one program, or ask "
                 "for --grl-checkpoint=no");
        return false;
    }
    return grl_settings_allow(grl_mca_own_environment, NULL, nodes, why, size) &&
           (nodes < 2 || conf_allows(nodes, why, size));
}

static int without(const char* why) {
    if (asked) {
        slurm_error("grl: the step cannot be protected: %s", why);
        return -1;
    }
    slurm_info("grl: warning: the step runs unprotected: %s", why);
    return 0;
}

/* Not what a user who says so for this very step wants; but a job of which some steps are protected
 * is well. */
static int beside(const struct grl_plugin* plugin, const char* refusal, const char* line) {
    if (plugin->option_calls > (plugin->option_inherited ? 1U : 0U)) {
        slurm_error("grl: --grl-checkpoint: %s", refusal);
        return -1;
    }
    if (asked) slurm_info("grl: %s", line);
    return 0;
}

/* The script's end has nothing to complain of. */
static void note_for_script(void) {
    if (this_node() != NULL && job_around() != 0)
        grl_job_note(GRL_MARKS_DIRECTORY, this_node(), job_around());
}

static int no_pmix(const struct grl_plugin* plugin) {
    /* mpirun gives the srun that it uses no way to speak. */
    if (asked && grl_launcher_tell("grl: what mpirun begins is not protected: "
                                   "begin the program with srun --mpi=pmix\n")) {
        note_for_script();
        return 0;
    }
    return beside(plugin, "the step does not use PMIx: add --mpi=pmix",
                  "this step does not use PMIx, so it runs unprotected");
}

int grl_srun_before_launch(spank_t spank, struct grl_plugin* plugin) {
    unsetenv(GRL_STEP_ENV);              /* an outer step's */
    unsetenv(GRL_OVERLAPS_ENV);
    if (overlaps) setenv(GRL_OVERLAPS_ENV, "1", 1);
    if (wish.answer != GRL_YES) return 0;
    if (!uses_pmix()) return no_pmix(plugin);
    uint32_t job = 0, step = 0;
    if (spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS) {
        slurm_error("grl: Slurm does not tell the step's number");
        return asked ? -1 : 0;
    }
    struct step_nodes list = step_nodes(job, step);
    char why[GRL_WHY_SIZE];
    if (!possible(list.count, why, sizeof why)) {
        free(list.names);
        return without(why);
    }
    const struct grl_answer_line answer =
        ask_coordinator(&plugin->arguments, job, step, list.names);
    free(list.names);
    if (answer.beside) {
        char refusal[GRL_WHY_SIZE], line[GRL_WHY_SIZE];
        snprintf(refusal, sizeof refusal, "%s: wait for its end, or run this one without",
                 answer.text);
        snprintf(line, sizeof line, "this step runs unprotected: %s", answer.text);
        return beside(plugin, refusal, line);
    }
    if (!answer.ready) return without(answer.text);
    const struct grl_decision protect = {true, asked, wish.every_s};
    pass_on(protect);
    note_for_script();
    return 0;
}
