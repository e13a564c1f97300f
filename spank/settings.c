#include "spank/settings.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define DIRECT_CONN_ENV "SLURM_PMIX_DIRECT_CONN"

/* As Slurm's mpi/pmix reads its switches; what is none of these it ignores. */
static bool is_off(const char* value) {
    return strcasecmp(value, "false") == 0 || strcasecmp(value, "no") == 0 ||
           strcmp(value, "0") == 0;
}

static bool no_direct_connections(const char* where, const char* remedy, char* why, size_t size) {
    snprintf(
        why, size,
        "%s turns off the direct connections of Slurm's PMIx, without which no fence waits for "
        "all nodes: %s",
        where, remedy);
    return false;
}

/* The stores in which a rank finds what others have put; `hash` has its own only. */
static bool shares_values(const char* list) {
    static const char* const stores[] = {"ds21", "ds12", "shmem", "shmem2"};
    if (list[0] == '^') return grl_mca_list_has(list, "ds21") || grl_mca_list_has(list, "ds12");
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++)
        if (grl_mca_list_has(list, stores[i])) return true;
    return false;
}

bool grl_settings_allow(grl_mca_look* look, void* context, uint32_t step_nodes, char* why,
                        size_t why_size) {
    char value[16];
    if (step_nodes > 1 && look(context, DIRECT_CONN_ENV, value, sizeof value) && is_off(value)) {
        char where[64];
        snprintf(where, sizeof where, DIRECT_CONN_ENV "=%s", value);
        return no_direct_connections(where, "unset it", why, why_size);
    }
    struct grl_mca_setting gds;
    if (grl_mca_find(&grl_mca_pmix, "gds", look, context, &gds) && !shares_values(gds.value)) {
        const bool variable = gds.where[0] != '/';
        snprintf(why, why_size,
                 "%s%s%s leaves PMIx no store in which a rank finds what the others say: %s",
                 gds.where, variable ? "=" : ": gds = ", gds.value,
                 variable ? "unset it" : "remove that line, or add ds21");
        return false;
    }
    return true;
}

bool grl_settings_allow_conf(const char* mpi_conf, uint32_t step_nodes, char* why,
                             size_t why_size) {
    char name[64], value[64];
    for (const char* line = mpi_conf; step_nodes > 1 && line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (sscanf(line, " %63[^= \t\n] = %63s", name, value) == 2 &&
            strcasecmp(name, "PMIxDirectConn") == 0 && is_off(value))
            return no_direct_connections("PMIxDirectConn=no in the cluster's mpi.conf",
                                         "an administrator must remove that", why, why_size);
    }
    return true;
}
