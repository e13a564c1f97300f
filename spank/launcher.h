/* mpirun of Open MPI and PRRTE begins its daemons by srun, with that srun's output thrown away. */
#ifndef GRL_SPANK_LAUNCHER_H
#define GRL_SPANK_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Is a process of this name such a launcher? */
bool grl_is_launcher(const char* name);

/* If this process is a launcher's child and cannot be heard itself, says `line` where the
 * launcher's errors go. False: it is not, or that did not work. */
bool grl_launcher_tell(const char* line);

/* Does the command line of this process have several components ("srun a : b")? Of such a step
 * Slurm tells a plugin nothing else. */
bool grl_command_has_components(void);
/* The same of words that end with a zero each. */
bool grl_words_have_components(const char* words, size_t size);

#ifdef __cplusplus
}
#endif

#endif
