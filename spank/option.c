#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "spank/plugin.h"

static struct grl_plugin* shared; /* the callback has no context of its own */

/* May come more than once: in srun for the inherited value and then its own, in slurmstepd twice.
 */
static int set_option(int value, const char* argument, int remote) {
    (void)value;
    if (!grl_wish_parse(argument, &shared->option)) {
        if (!remote)
            slurm_error("grl: --grl-checkpoint=%s: %s is wanted", argument, GRL_WISH_USAGE);
        return -1;
    }
    shared->option_calls++;
    return 0;
}

spank_err_t grl_option_register(spank_t spank, struct grl_plugin* plugin) {
    static char name[] = "grl-checkpoint";
    static char argument[] = "[on-demand|SECONDS]";
    static char usage[] =
        "protect the job by global recovery lines, taken on demand or also every "
        "SECONDS; 'no' overrides a default";
    static struct spank_option option = {name, argument, usage, 2, 0, set_option};
    shared = plugin;
    plugin->option_inherited = getenv(GRL_INHERITED_ENV) != NULL;
    return spank_option_register(spank, &option);
}

bool grl_option_resolve(const struct grl_plugin* plugin, const char* environment,
                        struct grl_wish* wish, bool* asked, char* why, size_t why_size) {
    struct grl_wish found = plugin->option;
    if (found.answer == GRL_UNSET && environment != NULL && *environment != '\0' &&
        !grl_wish_parse(environment, &found)) {
        snprintf(why, why_size, "%s=%s: %s is wanted", GRL_CHECKPOINT_ENV, environment,
                 GRL_WISH_USAGE);
        return false;
    }
    const bool by_user = found.answer != GRL_UNSET;
    if (!by_user) found = plugin->arguments.site_wish;
    if (found.answer == GRL_YES && plugin->arguments.coordinator == NULL) {
        snprintf(why, why_size,
                 "protection is asked for, but this cluster has no coordinator: "
                 "plugstack.conf lacks coordinator=HOST:PORT");
        return false;
    }
    *wish = found;
    *asked = by_user;
    return true;
}
