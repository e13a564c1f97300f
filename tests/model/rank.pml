/* A rank: its application's thread and its agent. */

/* The thread's next store in its slot is the class `c`, with the counts before it; the store before that is seen. FLUSH:
 * all of them are. */
#ifdef FINE
#define STORE(c) FLUSH; call[r] = c
#define FLUSH seen_call[r] = call[r]; seen_issued[r] = issued[r]; seen_held[r] = held[r]
#else
#define STORE(c) call[r] = c
#define FLUSH skip
#endif

#define SEALED_NOW (sealed[r] > closed[n])
#define MAY_PASS (!shut[n] || (held[r] && !SEALED_NOW))

/* What a line is for: no operation goes out that the proof does not account for, from the proof of silence to the close
 * on the rank's own node, nor while the guests may be captured. */
#define CHECK_ISSUE assert(issued[r] <= counted[r] || (silence <= over[n] && !frozen))

/* What the thread does next. */
#define PUT 0
#define GET 1
#define FENCE 2
#define LOCK 3
#define UNLOCK 4
#define BARRIER 5
/* The rest of a get, and of the barrier. */
#define RETURN 6
#define GATHER 7
#define OVER 255 /* calls: no more */

/* The program is at its end; its counts are no more asked for. */
#define FORGET issued[r] = 0; FLUSH

inline choose() {
    if
    :: calls < (r == 0 -> CALLS : OTHERS_CALLS) -> calls++;
        if
        :: what = PUT
#ifdef GETS
        :: what = GET
#endif
        :: outstanding -> what = FENCE
#ifdef MUTEX
        :: !held[r] && !outstanding -> what = LOCK
        :: held[r] -> what = UNLOCK
#endif
        fi
    :: calls == (r == 0 -> CALLS : OTHERS_CALLS) && held[r] -> what = UNLOCK
#ifdef COLLECTIVE
    :: calls == (r == 0 -> CALLS : OTHERS_CALLS) && !held[r] -> calls = OVER; what = BARRIER
    :: calls == OVER -> FORGET; break
#else
    :: calls == (r == 0 -> CALLS : OTHERS_CALLS) && !held[r] -> calls = OVER; FORGET; finished[r] = true; break
#endif
    fi;
    if
    :: what == PUT || what == GET -> class = ONE_SIDED
    :: what == FENCE || what == UNLOCK -> class = COMPLETION
    :: else -> class = WAITING
    fi
}

/* Parks and comes back with `after` stored. `begun`: the call that stops here counts as an operation. */
inline park(begun, after, begins) {
    if
    :: outstanding ->
        d_step { STORE(COMPLETION); issued[r] = issued[r] - begun }
        if
        :: atomic { !SEALED_NOW -> skip }; atomic { PROGRESSES(PEER(r)) -> outstanding = false }
        :: SEALED_NOW
        fi;
        d_step { STORE(PARKED) }
    :: !outstanding -> d_step { STORE(PARKED); issued[r] = issued[r] - begun }
    fi;
    MAY_PASS;
    d_step { STORE(after); issued[r] = issued[r] + begins }
}

/* may_pass for the entry, where it matters that the words are loaded one after the other. */
#ifdef MUTEX
#define UNLESS_MAY_PASS \
    :: !shut[n] -> break \
    :: atomic { shut[n] && held[r] -> seal = sealed[r] }; \
        if \
        :: atomic { seal <= closed[n] -> seal = 0 }; break \
        :: atomic { seal > closed[n] -> seal = 0 } \
        fi; \
        goto stop \
    :: shut[n] && !held[r]
#else
#define UNLESS_MAY_PASS \
    :: !shut[n] -> break \
    :: shut[n]
#endif

proctype App(byte r) {
    byte n = NODE(r);
    byte calls, what, class;
    bool outstanding;
#ifdef MUTEX
    byte seal;
#endif

    do
    :: atomic { choose();
#ifndef MUTATE_LOOK_FIRST
            STORE(class);
            issued[r] = issued[r] + (class == ONE_SIDED) };
        if
        :: !shut[n] -> goto inside
        :: shut[n]
        fi;
#else
        };
        if
        :: !shut[n] -> d_step { STORE(class); issued[r] = issued[r] + (class == ONE_SIDED) }; goto inside
        :: shut[n]
        fi;
        d_step { STORE(class); issued[r] = issued[r] + (class == ONE_SIDED) };
#endif
        do
        UNLESS_MAY_PASS ->
stop:       park((class == ONE_SIDED), class, class == ONE_SIDED)
        od;
inside: atomic {
            if
            :: what == PUT -> CHECK_ISSUE; outstanding = true
            :: what == FENCE && PROGRESSES(PEER(r)) -> outstanding = false
            :: what == LOCK && !locked -> locked = true
            :: what == UNLOCK -> locked = false
#ifdef GETS
            :: what == GET -> CHECK_ISSUE; what = RETURN; goto inside
            :: what == RETURN && PROGRESSES(PEER(r))
#endif
#ifdef COLLECTIVE
            :: what == BARRIER -> arrived++; what = GATHER; goto inside
            :: what == GATHER && arrived == RANKS -> outstanding = false
#endif
            fi;
            STORE(NONE);
            held[r] = (held[r] && what != UNLOCK) || what == LOCK;
            what = 0;
            class = 0
        }
        if
        :: MAY_PASS
        :: !MAY_PASS -> park(0, NONE, 0)
        fi
    od;
#ifdef LEAVE
    ending[r] = true;
    state[r] == LEFT
#endif
}

#define ACTIVE(c) (c == ONE_SIDED || c == COMPLETION)
#define SETTLED(c, h) (!ACTIVE(c) && (c == WAITING || c == PARKED || !h))

#ifdef MUTATE_NO_BARRIER
#define MEMBARRIER skip
#else
#define MEMBARRIER FLUSH
#endif

/* A branch on `seen_` is what the agent sees at once, one on the thread's own word is what it comes to see; the last is
 * the grace. Each membarrier follows a load or store at once: later would be as if the thread were slower. */
inline drain() {
    atomic {
        if
        :: closed[n] >= att -> flags = REFUSED
        :: SETTLED(seen_call[r], seen_held[r])
        :: SETTLED(call[r], held[r]) -> FLUSH
        :: true
        fi
    }
    if
    :: flags == QUIET ->
        atomic {
#ifndef MUTATE_NO_SEAL
            sealed[r] = att;
#endif
            MEMBARRIER
        }
        atomic {
            if
            :: closed[n] >= att -> flags = REFUSED
            :: !ACTIVE(seen_call[r])
            :: !ACTIVE(call[r]) -> FLUSH
            :: true
            fi;
            counted[r] = seen_issued[r]
        }
    :: flags != QUIET
    fi
}

/* Enters the fence with this value and comes back when all have entered. */
inline exchange(for_attempt, with_flags) {
    d_step {
        state[r] = (with_flags == IS_LEAVING -> LEAVING : FENCING);
        round++;
        entered[r] = round;
        value_round[r] = round;
        value_attempt[r] = for_attempt;
        if
        :: with_flags == REFUSED -> value_refused[r] = for_attempt
        :: with_flags == QUIET -> was_quiet[r] = was_quiet[r] | (1 << for_attempt)
        :: else
        fi;
        if
        :: with_flags == IS_LEAVING
        :: else ->
            assert(fence_of[round] == 0 || fence_of[round] == for_attempt);
            fence_of[round] = for_attempt
        fi;
        if
        :: ALL(HAS_ENTERED) && ALL(IS_QUIET) && (over[0] < att || over[1] < att) -> silence = for_attempt
        :: else
        fi
    }
}

#define GIVE_NEXT value_round[r] = round + 1; value_attempt[r] = att + 1

inline serve() {
    if
    :: flags == QUIET -> drain()
    :: flags != QUIET
    fi;
    exchange(att, flags);
#ifdef MASTER_DIES
end_fence: /* its own node's agents never hear of the attempt; the application does not wait for that */
#endif
    atomic { ALL(HAS_ENTERED) ->
        fenced[r] = att;
        if
        :: closed[n] >= att -> flags = REFUSED
        :: else
        fi
    }
    if
    :: flags == QUIET ->
#if RANKS == 3
        if
        :: LEADS(r) ->
#endif
            d_step {
                proven[n] = ALL(IS_QUIET);
                proof_attempt[n] = att;
                assert(!proven[n] || ALL(WAS_QUIET))
            }
#if RANKS == 3
        :: !LEADS(r)
        fi;
#endif
        d_step { slot_attempt[r] = att; state[r] = SILENT; GIVE_NEXT }
    :: flags != QUIET
    fi;
    /* What is void from here on is forgotten, so that the runs' states meet again. */
    atomic { closed[n] >= att || attempt[n] != att ->
        state[r] = RUNNING;
        GIVE_NEXT;
        flags = 0;
        counted[r] = 0;
        slot_attempt[r] = 0;
        if
        :: closed[n] >= att -> sealed[r] = 0; fenced[r] = 0
        :: else
        fi;
        if
        :: LEADS(r) -> proof_attempt[n] = 0; proven[n] = false
        :: else
        fi
    }
}

inline leave_in_rounds() {
    d_step { state[r] = LEAVING; leave_since[r] = round + 1; att = 0 }
    do
    :: exchange(attempt[n], IS_LEAVING);
        ALL(HAS_ENTERED);
        if
        :: LEADS(r) ->
            att = attempt[n];
            if
            :: att > closed[n] -> d_step { proven[n] = false; proof_attempt[n] = att }
            :: else
            fi
        :: else
        fi;
#ifdef MUTATE_ONE_ROUND
        break
#else
        if
        :: ALL(HAS_LEFT) -> break
        :: else
        fi
#endif
    od;
    atomic {
        assert(last_fence == 0 || last_fence == round);
        last_fence = round;
        state[r] = LEFT
    }
}

proctype Agent(byte r) {
    byte n = NODE(r);
    byte att, round, flags;

end:
    do
    :: atomic { (ending[r] || attempt[n] != att) ->
        if
        :: ending[r] -> break
        :: else ->
#ifdef MUTATE_SKIP_FENCE
            att = attempt[n];
#else
            att++;
#endif
            flags = (att == attempt[n] -> QUIET : REFUSED);
            state[r] = DRAINING;
            MEMBARRIER
        fi };
        serve()
    od;
    leave_in_rounds()
}
