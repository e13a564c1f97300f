/* Runs grl-master from inside srun or slurmstepd and reads its one line of answer. The address
 * space of the caller stays as it is: all networking is in the child.
 *
 * Descriptors in the child: 0-2 /dev/null, 3 the answer's pipe, 4 the life pipe where there is one;
 * no other is inherited. Blocks at most `limit_ms` and one second. Any thread. */
#ifndef GRL_SPANK_HELPER_H
#define GRL_SPANK_HELPER_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRL_ANSWER_FD 3
#define GRL_LIFE_FD 4

struct grl_answer_line {
    bool ready;
    char text[400]; /* where not ready: why, one printable line */
};

/* `arguments` begins with the program's path and ends with NULL. `life` is -1 or a read end that
 * the child gets. The direct child has ended when this returns; a daemon it left behind lives on.
 */
struct grl_answer_line grl_helper_run(char* const arguments[], int life, int limit_ms);

#ifdef __cplusplus
}
#endif

#endif
