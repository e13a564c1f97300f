/* slurmstepd: one grl-master per protected step and node.
 *
 *   init_post_opt  root   start grl-master, wait for its answer, set the step's environment
 *   user_init      user   look at the settings that the tasks will have; tell the user of a refusal:
 *                         Slurm's earlier errors go to the node's log
 *   task_init             wait until all nodes have forked; refused: the task ends before its
 *                         program is run
 *   task_exit             refused: end the step's tasks on the other nodes
 *   exit                  close the life pipe: grl-master ends
 *
 * The life pipe's write end is in this process only, and closed on exec, so grl-master sees its end
 * also when slurmstepd is killed. grl-master is a daemon: slurmstepd's waits never see it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <slurm/slurm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spank/helper.h"
#include "spank/marks.h"
#include "spank/plugin.h"
#include "spank/settings.h"
#include "spank/start.h"

#define START_S 15

static int life = -1;             /* write end of the life pipe */
static bool protects;             /* grl-master is there */
static bool asked;                /* by the user */
static bool refused;              /* the step must not start */
static char notice[GRL_WHY_SIZE + 64]; /* one line for the user; empty: none */
static char page[300];            /* of a protected step of several nodes; else empty */
static uint32_t job, step;

struct step_facts {
    uint32_t nodes, ranks, local_ranks;
    uid_t uid;
    const char* node;
};

static bool read_facts(spank_t spank, struct step_facts* facts) {
    facts->node = getenv("SLURMD_NODENAME");
    return facts->node != NULL && strchr(facts->node, '/') == NULL &&
           spank_get_item(spank, S_JOB_NNODES, &facts->nodes) == ESPANK_SUCCESS &&
           spank_get_item(spank, S_JOB_TOTAL_TASK_COUNT, &facts->ranks) == ESPANK_SUCCESS &&
           spank_get_item(spank, S_JOB_LOCAL_TASK_COUNT, &facts->local_ranks) == ESPANK_SUCCESS &&
           spank_get_item(spank, S_JOB_UID, &facts->uid) == ESPANK_SUCCESS;
}

/* The job's user must reach his page, and nobody may take its name before. */
bool grl_prepare_run_directory(char* why, size_t why_size) {
    struct stat found;
    /* The mode again: the umask may have taken from it. */
    if (mkdir(GRL_MARKS_DIRECTORY, 0755) == 0 && chmod(GRL_MARKS_DIRECTORY, 0755) != 0) {
        snprintf(why, why_size, "making " GRL_MARKS_DIRECTORY ": %m");
        return false;
    }
    if (lstat(GRL_MARKS_DIRECTORY, &found) != 0) {
        snprintf(why, why_size, "finding " GRL_MARKS_DIRECTORY ": %m");
        return false;
    }
    if (S_ISDIR(found.st_mode) && found.st_uid == 0 && (found.st_mode & (S_IWGRP | S_IWOTH)) == 0)
        return true;
    snprintf(why, why_size,
             GRL_MARKS_DIRECTORY " must be a directory of root's that nobody else can write");
    return false;
}

static struct grl_answer_line start_master(const struct grl_arguments* arguments,
                                           const struct step_facts* facts, unsigned every_s,
                                           const char* page) {
    struct grl_answer_line answer = {.ready = false};
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        snprintf(answer.text, sizeof answer.text, "no pipe to grl-master: %m");
        return answer;
    }
    const unsigned limit_ms = arguments->deadline_s * 1000;
    struct grl_command command = {.count = 0};
    grl_command_add(&command, "%s", arguments->master);
    grl_command_add(&command, "--coordinator=%s", arguments->coordinator);
    if (arguments->munge_socket != NULL)
        grl_command_add(&command, "--munge-socket=%s", arguments->munge_socket);
    grl_command_add(&command, "--job=%u", job);
    grl_command_add(&command, "--step=%u", step);
    grl_command_add(&command, "--node=%s", facts->node);
    grl_command_add(&command, "--node-count=%u", facts->nodes);
    grl_command_add(&command, "--ranks=%u", facts->ranks);
    grl_command_add(&command, "--local-ranks=%u", facts->local_ranks);
    grl_command_add(&command, "--uid=%u", (unsigned)facts->uid);
    grl_command_add(&command, "--every=%u", every_s);
    grl_command_add(&command, "--page=%s", page);
    grl_command_add(&command, "--log=%s", arguments->log);
    grl_command_add(&command, "--limit-ms=%u", limit_ms - limit_ms / 10);
    answer = grl_helper_run(&command, ends[0], (int)limit_ms);
    close(ends[0]);
    if (answer.ready)
        life = ends[1];
    else
        close(ends[1]);
    return answer;
}

static void say_why_not(const char* why) {
    refused = asked;
    snprintf(notice, sizeof notice, "grl: %sthe step %s: %s", refused ? "" : "warning: ",
             refused ? "cannot be protected" : "runs unprotected", why);
}

int grl_stepd_post_options(spank_t spank, struct grl_plugin* plugin) {
    if (spank_get_item(spank, S_JOB_ID, &job) != ESPANK_SUCCESS ||
        spank_get_item(spank, S_JOB_STEPID, &step) != ESPANK_SUCCESS)
        return 0;
    if (step == SLURM_BATCH_SCRIPT) {
        grl_batch_begin(spank, plugin, job);
        return 0;
    }
    if (step > SLURM_MAX_NORMAL_STEP_ID) return 0;
    char text[64];
    struct grl_decision decision;
    grl_environment_unprotect(spank);
    const bool decided = spank_getenv(spank, GRL_STEP_ENV, text, sizeof text) == ESPANK_SUCCESS;
    spank_unsetenv(spank, GRL_STEP_ENV);
    if (!decided || !grl_decision_parse(text, &decision) || !decision.protect) return 0;
    struct grl_answer_line answer = {.ready = false};
    struct step_facts facts;
    uint32_t nodes = 0;
    spank_get_item(spank, S_JOB_NNODES, &nodes);
    grl_environment_fence(spank, &plugin->arguments, nodes);
    if (plugin->bad_arguments[0] != '\0') {
        snprintf(answer.text, sizeof answer.text, "%.*s", (int)sizeof answer.text - 1,
                 plugin->bad_arguments);
    } else if (plugin->arguments.coordinator == NULL) {
        snprintf(answer.text, sizeof answer.text, "plugstack.conf lacks coordinator=HOST:PORT");
    } else if (!read_facts(spank, &facts)) {
        snprintf(answer.text, sizeof answer.text, "Slurm does not tell the step's layout");
    } else if (grl_prepare_run_directory(answer.text, sizeof answer.text)) {
        snprintf(page, sizeof page, GRL_MARKS_DIRECTORY "/page-%s-%u.%u", facts.node, job, step);
        answer = start_master(&plugin->arguments, &facts, decision.every_s, page);
    }
    asked = decision.asked;
    protects = answer.ready;
    if (protects)
        grl_environment_protect(spank, &plugin->arguments, page);
    else
        say_why_not(answer.text);
    if (!protects || nodes < 2) page[0] = '\0';
    return 0;
}

/* srun has looked at its own environment and files; the tasks' may be others. */
static void check_settings(spank_t spank) {
    char why[GRL_WHY_SIZE];
    uint32_t nodes = 0;
    spank_get_item(spank, S_JOB_NNODES, &nodes);
    if (grl_settings_allow(grl_environment_look, spank, nodes, why, sizeof why)) return;
    grl_environment_unprotect(spank);
    say_why_not(why);
    page[0] = '\0';
}

int grl_stepd_user_init(spank_t spank) {
    if (protects) {
        grl_environment_yield(spank);
        check_settings(spank);
    }
    if (notice[0] == '\0') return 0;
    if (refused)
        slurm_error("%s", notice);
    else
        slurm_spank_log("%s", notice);
    return 0;
}

/* Not by an error of this plugin or an earlier callback: srun 22.05 takes those for a success. */
int grl_stepd_task_init(void) {
    if (refused) _exit(EXIT_FAILURE);
    if (page[0] != '\0' && !grl_start_together(page, START_S))
        slurm_info("grl: not all nodes of the step have started after %d s: going on", START_S);
    return 0;
}

/* Ranks of other nodes would wait for those that never came. */
int grl_stepd_task_exit(void) {
    static bool done;
    if (step == SLURM_BATCH_SCRIPT) grl_batch_task_exit();
    if (refused && !done) {
        done = true;
        slurm_kill_job_step(job, step, SIGKILL);
    }
    return 0;
}

int grl_stepd_exit(void) {
    if (step == SLURM_BATCH_SCRIPT) grl_batch_end();
    if (life >= 0) close(life);
    life = -1;
    return 0;
}
