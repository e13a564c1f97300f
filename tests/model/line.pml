/* The protocol of a line between the application's threads, the agents and the masters of one step on two nodes, for
 * SPIN. tests/model/check builds and searches it; docs/drain.md tells what it shows.
 *
 *   rank.pml     App: the application's thread (grl/page/gate.h, pmix_hooks/park.cc, armci_patch/)
 *                Agent: pmix_hooks/agent.cc, pmix_hooks/drain.cc, pmix_hooks/proof.cc
 *   master.pml   Master: spank/master.cc, grl/page/attempt.h; Watch: MasterWatch of grl/page/attempt.h
 *                Coordinator: as much of it as sends orders
 *
 * Time is no part of it: a grace, a deadline or a failsafe may be over at any moment. No process goes round without
 * using up a call, an attempt or a fence, so every run is finite, and "for ever" is what holds in its last state.
 *
 * Store buffer: what a thread stores in its slot (call, issued, held) others may see late, after its loads that follow.
 * The words `seen_...` are what they see. The next store, a membarrier or chance brings the last one out; chance is
 * decided when the agent looks. (FINE only.)
 *
 * Settings: RANKS (2, or 3 of which the first two share node 0), CALLS of rank 0, OTHERS_CALLS, ATTEMPTS, and these switches:
 *   FINE                late stores, and the master's stores as steps of their own; otherwise both are immediate
 *   GETS, MUTEX         calls that need the target's progress; lock and unlock
 *   COLLECTIVE, LEAVE   a barrier at the end; finalising in rounds after it
 *   LIVENESS            with the formulas, one of which pan -N takes
 *   LOSS                an order may be lost on its way to node 1
 *   PATIENT             no deadline passes; a grace does
 *   MASTER_DIES         node 0's master may end between any two of its steps
 *   COORDINATOR_DIES    it may end while the masters drain
 *   MUTATE_...          a fault that has to be found
 */
#ifdef LEAVE
#define COLLECTIVE
#endif
#ifndef RANKS
#define RANKS 2
#endif
#ifndef CALLS
#define CALLS 1
#endif
#ifndef OTHERS_CALLS
#define OTHERS_CALLS CALLS
#endif
#ifndef ATTEMPTS
#define ATTEMPTS 1
#endif

#if RANKS == 2
#define NODE(r) (r)
#define LEADS(r) true
#define ALL(p) (p(0) && p(1))
#define ALL_OF(n, p) (p(n))
#define ANY_OF(n, p) (p(n))
#else
#define NODE(r) ((r) / 2)
#define LEADS(r) ((r) != 1)
#define ALL(p) (p(0) && p(1) && p(2))
#define ALL_OF(n, p) ((n == 0 && p(0) && p(1)) || (n == 1 && p(2)))
#define ANY_OF(n, p) ((n == 0 && (p(0) || p(1))) || (n == 1 && p(2)))
#endif
#define PEER(r) (((r) + 1) % RANKS)

/* CallClass */
#define NONE 0
#define ONE_SIDED 1
#define COMPLETION 2
#define WAITING 3
#define PARKED 5
/* RankState */
#define RUNNING 1
#define DRAINING 2
#define FENCING 3
#define SILENT 4
#define LEAVING 5
#define LEFT 6
/* What an agent enters a fence with */
#define QUIET 0
#define REFUSED 1
#define IS_LEAVING 2

/* The line page of each node. */
bool shut[2];
byte attempt[2];
byte closed[2];
byte proof_attempt[2];
bool proven[2];

/* The slot and the gate of each rank: what its thread has stored, what others see of it. */
byte call[RANKS];
byte issued[RANKS];
bool held[RANKS];
#ifdef FINE
byte seen_call[RANKS];
byte seen_issued[RANKS];
bool seen_held[RANKS];
#else
#define seen_call call
#define seen_issued issued
#define seen_held held
#endif
byte state[RANKS];
byte slot_attempt[RANKS];
byte sealed[RANKS];
byte fenced[RANKS];
bool ending[RANKS];
bool finished[RANKS]; /* the program has ended without a collective; counts as polling */

/* The fence: how many each agent has entered, and its newest value, which it gives as soon as it has left the fence before. */
byte entered[RANKS];
byte value_round[RANKS] = 1;
byte value_attempt[RANKS] = 1;
byte value_refused[RANKS];
byte leave_since[RANKS];
byte was_quiet[RANKS]; /* one bit for each attempt whose fence it has entered quiet */

/* The application's own: its one mutex, who has come to its barrier. */
bool locked;
byte arrived;

/* Facts for the properties; no process goes by them. */
byte silence;             /* the last attempt with a good proof: all have entered its fence, quiet */
byte counted[RANKS];      /* operations that the agent's value accounts for */
byte fence_of[ATTEMPTS + RANKS + 3]; /* the attempt that a fence was for */
byte last_fence;          /* the one all left by */
byte over[2];             /* the last attempt whose gates the node has opened or is opening */
bool aborted;             /* some node has aborted an attempt */
bool frozen;              /* every master has reported silence and no order has followed */
bool dead[2];             /* masters */

/* Is rank r in the communication library or polling it, so that peers' operations on it go on? */
#define IN_FENCED(r) (attempt[NODE(r)] > closed[NODE(r)] && fenced[r] >= attempt[NODE(r)])
#define PROGRESSES(r) ((call[r] == PARKED && !IN_FENCED(r)) || ending[r] || finished[r] || \
    (call[r] != NONE && call[r] != PARKED))

#define HAS_ENTERED(r) (entered[r] >= round)
#ifdef MUTATE_FORGET_REFUSED
#define WAS_REFUSED(r) (value_round[r] == round && value_refused[r] == att)
#else
#define WAS_REFUSED(r) (value_refused[r] >= att)
#endif
#define IS_QUIET(r) (value_round[r] >= round && !WAS_REFUSED(r) && !HAS_LEFT(r) && \
                     (value_round[r] > round || value_attempt[r] == att))
#define WAS_QUIET(r) ((was_quiet[r] >> att) & 1)
#define HAS_LEFT(r) (leave_since[r] != 0 && leave_since[r] <= round)
#ifdef LIVENESS
#define ABORTED aborted = true
#else
#define ABORTED skip
#endif
#define RUNS(r) (call[r] != PARKED && state[r] != SILENT && state[r] != DRAINING)

#include "rank.pml"
#include "master.pml"

#ifdef LIVENESS
/* One at a time: pan -N NAME. */
#define UNPARKS(r) [] (call[r] == PARKED -> <> (call[r] != PARKED))
ltl parked { ALL(UNPARKS) }
ltl abort { [] (aborted -> <> ALL(RUNS)) }
#endif

init {
    atomic {
        run App(0);
        run Agent(0);
        run App(1);
        run Agent(1);
#if RANKS == 3
        run App(2);
        run Agent(2);
#endif
        run Master(0);
        run Master(1);
#ifdef MASTER_DIES
        run Watch(0);
#endif
        run Coordinator();
    }
}
