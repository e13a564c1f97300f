/* A task's wait, before its program, for the step's other nodes (grl/page/start_words.h says why). */
#ifndef GRL_SPANK_START_H
#define GRL_SPANK_START_H

#include <stdbool.h>

/* Says by the line page at `path` that this node has forked, and waits until all have, at most
 * `seconds`. False: they have not, or there is no page; the task goes on all the same. */
bool grl_start_together(const char* path, int seconds);

#endif
