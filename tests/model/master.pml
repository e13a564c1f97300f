/* The masters, what stands in for one that has died, and the coordinator. */

#define DRAIN 1
#define RELEASE 2 /* released or aborted: the gate's words are the same */
#define LAST 3    /* a release that is not lost: what a node is told when it connects again */

chan orders[2] = [3] of { byte, byte };
byte told[2]; /* the last attempt that a master has reported silent */
bool lost;    /* a master's answer is that it has not taken the order */
byte ordered; /* the last attempt that the coordinator has ended */
#define FOR_EVER 255

#define IS_SILENT(r) (state[r] == SILENT && slot_attempt[r] == att)
#define STAYS(r) (state[r] != LEAVING && state[r] != LEFT)
#define PROOF_IS(p) (proof_attempt[n] == att && proven[n] == p)

/* The first store of close_attempt, and the second. */
#define OPEN_GATES \
    shut[n] = false; \
    over[n] = att; \
    if \
    :: over[0] >= silence && over[1] >= silence -> silence = 0 \
    :: else \
    fi
#define CLOSE closed[n] = att; is_open = false; silent = false; next = 0
#define OPEN attempt[n] = att; is_open = true; next = 0

/* What follows the first store. */
#define OPENING 1
#define CLOSING 2
#define MISSED 3    /* closes, though it never opened */
#define OVERTAKEN 4 /* by an attempt it missed */

#if defined(FINE) || defined(MASTER_DIES)
#define FINISH(stores) skip
#else
#define FINISH(stores) stores
#endif

#define MAY_DRAIN (!is_open && a > att && ALL_OF(n, STAYS))

/* Takes an order and does the first store it asks for. */
inline take() {
    orders[n]?order, a;
    if
#ifdef LOSS
    :: n == 1 && order != LAST -> lost = true
#endif
    :: order == DRAIN && !MAY_DRAIN -> lost = true
    :: order == DRAIN && MAY_DRAIN -> att = a; closed[n] = att - 1; shut[n] = true; next = OPENING; FINISH(OPEN)
    :: order != DRAIN && (a < att || a == att && !is_open)
    :: order != DRAIN && a == att && is_open -> OPEN_GATES; next = CLOSING; FINISH(CLOSE)
    :: order != DRAIN && a > att && !is_open -> att = a; OPEN_GATES; next = MISSED
    :: order != DRAIN && a > att && is_open -> OPEN_GATES; next = OVERTAKEN
    fi;
    order = 0;
    if
    :: next != OVERTAKEN -> a = 0
    :: else
    fi
}

inline give_up() {
    ABORTED;
    OPEN_GATES;
    next = CLOSING;
    FINISH(CLOSE)
}

proctype Master(byte n) {
    byte att, order, a, next;
    bool is_open, silent;

    {
end:
        do
        :: atomic { next == 0 && nempty(orders[n]) -> take() }
        :: atomic { next == OPENING -> OPEN }
        :: atomic { next == CLOSING -> CLOSE }
        :: atomic { next == OVERTAKEN -> CLOSE; att = a; a = 0; OPEN_GATES; next = MISSED }
        :: atomic { next == MISSED -> CLOSE; attempt[n] = att }
        :: atomic { is_open && !silent && next == 0 && ALL_OF(n, IS_SILENT) && PROOF_IS(true) ->
            silent = true;
            told[n] = (ordered < att -> att : 0) }
        :: atomic { is_open && !silent && next == 0 && (PROOF_IS(false) || !ALL_OF(n, STAYS)) -> give_up() }
#ifndef PATIENT
        /* the deadline; what it is like on two nodes at once is what the other's order is like */
        :: atomic { is_open && !silent && next == 0 && over[1 - n] < att -> give_up() }
#endif
#if defined(LOSS) || defined(COORDINATOR_DIES)
        /* the failsafe, which is longer than all that the coordinator gives itself */
        :: atomic { is_open && silent && next == 0 && ordered >= att -> give_up() }
#endif
        od
    } unless { dead[n] }
}

/* A parked thread, or an agent that drains or is silent, and sees no beat. Its patience is longer than the coordinator's
 * deadlines up to the capture. */
#define WATCHES(r) (call[r] == PARKED || state[r] == SILENT || state[r] == DRAINING)
#ifdef MUTATE_WATCH_ATTEMPT
#define IS_OPEN (closed[n] < attempt[n])
#else
#define IS_OPEN (closed[n] < attempt[n] || shut[n])
#endif

proctype Watch(byte n) {
    byte att;

    dead[n] = true;
end:
    do
    :: atomic { IS_OPEN && ordered >= attempt[n] && ANY_OF(n, WATCHES) ->
        att = attempt[n];
        ABORTED;
        OPEN_GATES };
        closed[n] = att
    od
}

#define ORDER(what) told[0] = 0; told[1] = 0; orders[0]!what, att; orders[1]!what, att

proctype Coordinator() {
    byte att;

    do
    :: atomic { att < ATTEMPTS -> att++; ORDER(DRAIN) };
        if
        :: atomic { told[0] == att && told[1] == att -> frozen = true };
            atomic { frozen = false; ordered = att; ORDER(RELEASE) }
        /* a master has refused or given up; the coordinator's own deadline is longer than theirs */
        :: atomic { (over[0] >= att || over[1] >= att || lost || dead[0] || dead[1]) ->
            ABORTED;
            ordered = att;
            lost = false;
            ORDER(RELEASE) }
#ifdef CANCEL
        :: atomic { ABORTED ordered = att; ORDER(RELEASE) }
#endif
#ifdef COORDINATOR_DIES
        :: break
#endif
        fi
    :: att == ATTEMPTS ->
#ifdef LOSS
        ORDER(LAST);
#endif
        break
    od;
    ordered = FOR_EVER
}
