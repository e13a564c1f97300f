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
    bool beside;    /* not ready only because another step of the job is protected */
    char text[400]; /* where not ready: why, one printable line */
};

/* A command line under construction; begin with all zero. What does not fit makes it `full`. */
struct grl_command {
    const char* words[24]; /* ends with NULL */
    int count;
    char text[4096];
    size_t used;
    bool full;
};
void grl_command_add(struct grl_command* command, const char* format, ...)
    __attribute__((format(printf, 2, 3)));
/* `word` stays the caller's. */
void grl_command_add_word(struct grl_command* command, const char* word);

/* The first word is the program's path. `life` is -1 or a read end that the child gets. The direct
 * child has ended when this returns; a daemon it left behind lives on. */
struct grl_answer_line grl_helper_run(const struct grl_command* command, int life, int limit_ms);

#ifdef __cplusplus
}
#endif

#endif
