/* mpirun of Open MPI and PRRTE begins its daemons by srun, with that srun's output thrown away. */
#ifndef GRL_SPANK_LAUNCHER_H
#define GRL_SPANK_LAUNCHER_H

#include <stdbool.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Is a process of this name such a launcher? */
bool grl_is_launcher(const char* name);

/* If this process is a launcher's child and cannot be heard itself, says `line` where the
 * launcher's errors go. False: it is not, or that did not work. */
bool grl_launcher_tell(const char* line);

#ifdef __cplusplus
}
#endif

#endif
