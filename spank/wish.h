/* What a user or a site asks of a step: nothing, no protection, or protection with a line on
 * request and perhaps also one every so many seconds. Unset, no and yes are three values, so that
 * --grl-checkpoint=no overrides a site's default. Pure; any thread. */
#ifndef GRL_SPANK_WISH_H
#define GRL_SPANK_WISH_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRL_WISH_USAGE "on-demand, a number of seconds from 1 to 31536000, or no"

enum grl_answer { GRL_UNSET, GRL_NO, GRL_YES };

struct grl_wish {
    enum grl_answer answer;
    unsigned every_s; /* seconds between lines; 0: on demand only */
};

/* Reads a value of --grl-checkpoint, GRL_CHECKPOINT or default=. NULL and "" are the option without
 * a value: on-demand. False if it is none; `wish` is unchanged then. */
bool grl_wish_parse(const char* text, struct grl_wish* wish);

/* The value that grl_wish_parse would read; not for GRL_UNSET. */
void grl_wish_format(struct grl_wish wish, char* text, size_t size);

/* What srun has decided of a step and slurmstepd carries out. It travels in GRL_STEP_ENV, whose
 * name begins with SLURM_ because --export=NONE lets only such names through. */
#define GRL_STEP_ENV "SLURM_GRL_STEP"

struct grl_decision {
    bool protect;
    bool asked; /* by the user, who then wants it or no step; else it is the site's default */
    unsigned every_s;
};

void grl_decision_format(struct grl_decision decision, char* text, size_t size);
bool grl_decision_parse(const char* text, struct grl_decision* decision);

#ifdef __cplusplus
}
#endif

#endif
