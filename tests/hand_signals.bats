# Signals at a rank, its master or its slurmstepd, at random moments while silences follow one another: the line aborts
# within its deadline, and the job goes on, or fails as it does without GRL. By hand, as it takes ten minutes:
#   sudo timeout 1500 bats tests/hand_signals.bats
# shellcheck shell=bash disable=SC2154

export GRL_LAB_NODES=native
load lab.d/bats

# How often each; with more of them all phases are met.
ROUNDS=${GRL_LAB_SIGNALS:-1}

setup_file() { lab_if_needed; }

teardown() {
    [[ -z ${JOB:-} ]] || in_ctl scancel "$JOB" 2>/dev/null || true
    guest_sh g2 "kill -CONT \$(pidof grl-master pgas_demo slurmstepd) 2>/dev/null || true"
    wait_for 120 "idle nodes" nodes_idle
}

# disturbed ITERATIONS: a job JOB whose rehearsals are reported in REPORTS until it ends.
disturbed() {
    REPORTS=$BATS_TEST_TMPDIR/reports.$BATS_TEST_NUMBER
    JOB=$(start_job --grl-checkpoint "--iterations $1 --pause-us 10000")
    wait_ready "$JOB"
    : >"$REPORTS"
    in_ctl grlctl --json rehearse "$JOB" --times 1000000 --every 1 >>"$REPORTS" 2>/dev/null 3>&- &
    wait_for 30 "rehearsals of job $JOB" reported 'done' 0
}

# reported done|aborted BEYOND: more than so many came to that end.
reported() { (($(reports "$1") > $2)); }
reports() {
    case $1 in
        'done') grep -c '"phase":"done"' "$REPORTS" ;;
        aborted) grep -c '"kind":1' "$REPORTS" ;;
    esac || true
}

# pid_of rank|master|slurmstepd, on a node that does not run the batch script.
pid_of() {
    local name=$1
    case $1 in
        rank) name=pgas_demo ;;
        master) name=grl-master ;;
    esac
    guest_sh g2 "pidof $name"
}

# signalled SIGNAL VICTIM: at some moment of some rehearsal.
signalled() {
    local pid
    pid=$(pid_of "$2")
    sleep "0.0$((RANDOM % 10))$((RANDOM % 10))"
    guest_sh g2 "kill -$1 $pid"
}

# stopped_and_continued VICTIM: lines abort within the deadline while it stands, and come to their end after.
stopped_and_continued() {
    local round aborted good pid
    disturbed 100000
    for ((round = 0; round < ROUNDS; round++)); do
        pid=$(pid_of "$1")
        aborted=$(reports aborted)
        signalled STOP "$1"
        wait_for 40 "abort of a line" reported aborted "$aborted"
        guest_sh g2 "kill -CONT $pid"
        good=$(reports 'done')
        wait_for 60 "a line after the abort" reported 'done' "$good"
    done
    grep '"kind":1' "$REPORTS" | jq -r .error.where,.error.why | sort | uniq -c
    job_runs "$JOB"
    cancel_job "$JOB"
}

@test "a rank that is stopped: its line aborts, the next is good" { stopped_and_continued rank; }
@test "a master that is stopped: its line aborts, the next is good" { stopped_and_continued master; }
@test "a slurmstepd that is stopped: its line aborts, the next is good" { stopped_and_continued slurmstepd; }

@test "the job goes on to its right result though its master stays stopped, or is dead" {
    local round how
    for ((round = 0; round < ROUNDS; round++)); do
        for how in STOP KILL; do
            disturbed 300
            signalled "$how" master
            right_result "$JOB"
            [[ $how == KILL ]] || guest_sh g2 "kill -9 \$(pidof grl-master)"
            wait_for 60 "idle nodes" nodes_idle
        done
    done
}

# end_of JOB VICTIM: how it ends, in Slurm's words, when the victim is killed; what that leaves running is ended.
end_of() {
    signalled KILL "$2"
    wait_for 90 "end of job $1" job_ended "$1" || in_ctl scancel "$1"
    wait_for 60 "end of job $1" job_ended "$1"
    echo "$(job_state "$1") $(job_field "$1" ExitCode)"
    in_ctl scancel "$1" 2>/dev/null || true
    guest_sh g2 "kill -9 \$(pidof pgas_demo) 2>/dev/null || true"
    wait_for 120 "idle nodes after job $1" nodes_idle
}

# killed VICTIM: a protected job ends as another one does.
killed() {
    local plain round protected
    JOB=$(start_job "" "--iterations 100000 --pause-us 10000")
    wait_for 60 "start of job $JOB" pid_of "$1"
    sleep 2
    plain=$(end_of "$JOB" "$1")
    for ((round = 0; round < ROUNDS; round++)); do
        disturbed 100000
        protected=$(end_of "$JOB" "$1")
        echo "without: $plain; with: $protected"
        [[ $protected == "$plain" ]]
    done
}

@test "a rank that is killed: the job fails as it does without GRL" { killed rank; }
@test "a slurmstepd that is killed: the job fails as it does without GRL" { killed slurmstepd; }
