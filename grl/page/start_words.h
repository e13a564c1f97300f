/* Words of the line page by which the tasks of a step start together; for C, too. Index of 32-bit
 * words.
 *
 *   task (before its program)    forked = 1, events + 1 with a wake; waits until go != 0
 *   grl-master                   tells the coordinator; stores go when all nodes of the step have
 * forked
 *
 * slurmstepd goes by the user's id while it forks tasks, and meanwhile refuses what other nodes'
 * PMIx servers send, for good (22.05): a rank that communicates before all nodes have forked may
 * hang. */
#ifndef GRL_START_WORDS_H
#define GRL_START_WORDS_H

enum { GRL_PAGE_FORKED = 4, GRL_PAGE_GO = 5, GRL_PAGE_EVENTS = 32 };

#endif
