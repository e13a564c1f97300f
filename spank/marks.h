/* What the parts on one node leave for each other in a directory of root's, under the node's name:
 *
 *   restored-NODE   grl-master writes the job's number when the job has been rolled back; srun, in
 *                   that job, reads it
 *   job-NODE-JOB    a fifo of the job's user's: srun notes for the batch step's slurmstepd that a
 *                   step is protected, or that the user has been told why not
 *
 * Both mean nothing to another job, and what a user makes of them harms that user's job only. */
#ifndef GRL_SPANK_MARKS_H
#define GRL_SPANK_MARKS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRL_MARKS_DIRECTORY "/run/grl" /* in memory, so of one age with the guest */

/* False with errno. */
bool grl_mark_restored(const char* directory, const char* node, uint32_t job);
bool grl_is_restored(const char* directory, const char* node, uint32_t job);
/* Nothing if the mark is another job's. */
void grl_unmark_restored(const char* directory, const char* node, uint32_t job);

/* The reading end, not to be inherited; -1 with errno. */
int grl_job_listen(const char* directory, const char* node, uint32_t job, uid_t user);
void grl_job_note(const char* directory, const char* node, uint32_t job);
/* Has anybody? Ends the listening and removes the name. */
bool grl_job_was_noted(int reader, const char* directory, const char* node, uint32_t job);

#ifdef __cplusplus
}
#endif

#endif
