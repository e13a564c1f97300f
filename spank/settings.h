/* What a user or a site has set of PMIx that leaves the ranks without the fence by which they agree
 * on silence. Such a step would run and never get a line, or never begin. */
#ifndef GRL_SPANK_SETTINGS_H
#define GRL_SPANK_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "grl/mca/settings.h"

#ifdef __cplusplus
extern "C" {
#endif

/* False with one line in `why` that names the setting, its place and the remedy. Reads files of the
 * user's: with the user's rights only. */
bool grl_settings_allow(grl_mca_look* look, void* context, uint32_t step_nodes, char* why,
                        size_t why_size);

/* The same of mpi.conf, as `scontrol show config` prints it: "NAME = VALUE" a line, or NULL. */
bool grl_settings_allow_conf(const char* mpi_conf, uint32_t step_nodes, char* why, size_t why_size);

#ifdef __cplusplus
}
#endif

#endif
