# SIGSTOP and SIGKILL of a rank, its master and its slurmstepd in each phase of a line. The line ends within its deadlines;
# the job goes on to its right result, or fails as it does without GRL. The phases are held open with the real parts: a
# stopped rank of another node keeps a drain open, a stopped coordinator the silence, another node's stopped master the
# release. Prints a table of what was seen. By hand, as it takes a quarter of an hour:
#   sudo timeout 2400 bats tests/by_hand/signals.bats
# shellcheck shell=bash disable=SC2154,SC2016

export GRL_LAB_NODES=native
load ../lab.d/bats

# The victim's node runs no batch script; the other one's processes hold phases open.
VICTIM=g2
OTHER=g3

# From the signal to the line's end, by the configuration's defaults, which the lab has: drain_ms or release_ms, then
# release_ms again to undo it where a master does not answer. The coordinator waits half a second longer for each.
LINE_LIMIT_MS=$((10500 + 10500 + 1000))

setup_file() {
    lab_if_needed
    : >"$BATS_FILE_TMPDIR/rows"
    PLAIN_RANK=$(end_without rank)
    PLAIN_SLURMSTEPD=$(end_without slurmstepd)
    export PLAIN_RANK PLAIN_SLURMSTEPD
}

teardown_file() {
    {
        printf '| phase | signal | its line | the job |\n| --- | --- | --- | --- |\n'
        cat "$BATS_FILE_TMPDIR/rows"
    } >&3
}

teardown() {
    local guest
    coordinator CONT
    for guest in "$VICTIM" "$OTHER"; do guest_sh "$guest" 'kill -CONT $(pidof grl-master pgas_demo slurmstepd) 2>/dev/null || true'; done
    [[ -z ${JOB:-} ]] || in_ctl scancel "$JOB" 2>/dev/null || true
    wait_for 120 "idle nodes" nodes_idle
}

# ---- the parts ----

coordinator() { in_ctl kill "-$1" "$(cut -d ' ' -f 1 "$LAB/ctl/grl-coordinator.pid")"; }

# pid_of GUEST rank|master|slurmstepd
pid_of() {
    local name=$2
    case $2 in
        rank) name=pgas_demo ;;
        master) name=grl-master ;;
    esac
    guest_sh "$1" "pidof $name"
}

# send SIGNAL GUEST WHOM
send() { guest_sh "$2" "kill -$1 $(pid_of "$2" "$3")"; }

# hit SIGNAL WHOM: the victim.
hit() {
    HIT_AT=$(now_ms)
    send "$1" "$VICTIM" "$2"
}

# page_word BYTE: a word of the line page on the victim's node, as grl/page/line_page.h has them.
page_word() { guest_sh "$VICTIM" "od -An -tu4 -j $1 -N 4 /run/grl/page-$VICTIM-$JOB.0" | tr -d ' \n'; }
attempt() { page_word 68; }
closed() { page_word 72; }
rank_state() { page_word 384; }
rank_is() { [[ $(rank_state) == "$1" ]]; }
released() { [[ $(closed) == "$(attempt)" ]]; }
FENCING=3 SILENT=4

# ---- a line and how it ends ----

# begin_line: a rehearsal of JOB, reported in REPORT when it is over; the end's time in REPORT.end.
begin_line() {
    REPORT=$BATS_TEST_TMPDIR/report
    rm -f "$REPORT.end"
    { in_ctl grlctl --json rehearse "$JOB" >"$REPORT" 2>/dev/null || true; now_ms >"$REPORT.end"; } 3>&- &
}

line_is_over() { [[ -s $REPORT.end ]]; }

# its_line: how it ended and how long after the signal; not later than its deadlines allow.
its_line() {
    local ms
    wait_for 60 "end of the line" line_is_over
    ms=$(($(<"$REPORT.end") - HIT_AT))
    LINE=$(jq -r 'if .error == null then .phase else
        .error.why | sub("drain for line [0-9]+ \\(g[0-9]\\): "; "") | if startswith("aborted") then . else "put off: " + . end
        end' "$REPORT")
    LINE+=", $((ms / 1000)).$((ms % 1000 / 100)) s"
    ((ms <= LINE_LIMIT_MS)) || { echo "its line: $LINE"; return 1; }
}

good_line() { in_ctl grlctl rehearse "$JOB" >/dev/null 2>&1; }

# ---- the phases ----

# enter PHASE: brings JOB there and keeps it there.
enter() {
    [[ $1 != idle ]] || return 0
    send STOP "$OTHER" rank
    begin_line
    wait_for 5 "a rank in the fence" rank_is "$FENCING"
    [[ $1 != draining ]] || return 0
    coordinator STOP
    send CONT "$OTHER" rank
    wait_for 5 "a silent rank" rank_is "$SILENT"
    [[ $1 != silent ]] || return 0
    send STOP "$OTHER" master
    coordinator CONT
    wait_for 5 "release of $VICTIM" released
}

# go_on PHASE: ends what keeps it there. When its fellow is killed Slurm ends the other rank, too.
go_on() {
    case $1 in
        idle) begin_line ;;
        draining) send CONT "$OTHER" rank 2>/dev/null || true ;;
        silent) coordinator CONT ;;
        releasing) send CONT "$OTHER" master ;;
    esac
}

# ---- the cases ----

# start ITERATIONS [SRUN_OPTION]: a protected job JOB that has had a good line.
start() {
    JOB=$(start_job "--grl-checkpoint ${2:-}" "--iterations $1 --pause-us 10000")
    wait_ready "$JOB"
    good_line
}

row() { echo "| $1 | $2 | $LINE | $3 |" | tee -a "$BATS_FILE_TMPDIR/rows"; }

# stopped PHASE WHOM: until its line is over; then lines are good again, and so is the result.
stopped() {
    start 1200
    enter "$1"
    hit STOP "$2"
    go_on "$1"
    its_line
    send CONT "$VICTIM" "$2"
    wait_for 60 "a line after it" good_line
    right_result "$JOB"
    row "$1" "SIGSTOP, then SIGCONT of the $2" "next line good, right result"
}

# stays_stopped PHASE: a master; the job does not need it.
stays_stopped() {
    start 300
    enter "$1"
    hit STOP master
    go_on "$1"
    its_line
    right_result "$JOB"
    row "$1" "SIGSTOP of the master" "right result"
    send KILL "$VICTIM" master
}

# killed_master PHASE
killed_master() {
    start 300
    enter "$1"
    hit KILL master
    go_on "$1"
    its_line
    right_result "$JOB"
    row "$1" "SIGKILL of the master" "right result"
}

# killed PHASE WHOM: a rank or a slurmstepd; the job ends as one without GRL.
killed() {
    local plain=PLAIN_${2^^} end
    start 100000 --kill-on-bad-exit
    enter "$1"
    hit KILL "$2"
    go_on "$1"
    its_line
    end=$(end_of_job)
    echo "with GRL: $end; without: ${!plain}"
    [[ $end == "${!plain}" ]]
    row "$1" "SIGKILL of the $2" "$end, as without GRL"
}

# end_of_job: how JOB ends, in Slurm's words. What a killed slurmstepd leaves running is ended.
end_of_job() {
    local by_itself=
    wait_for 15 "end of job $JOB" job_ended "$JOB" || by_itself="waits until it is cancelled: "
    in_ctl scancel "$JOB" 2>/dev/null || true
    wait_for 60 "end of job $JOB" job_ended "$JOB"
    echo "$by_itself$(job_state "$JOB") $(job_field "$JOB" ExitCode)"
    guest_sh "$VICTIM" 'kill -9 $(pidof pgas_demo) 2>/dev/null || true'
}

# end_without WHOM: that of a job without GRL whose rank or slurmstepd is killed.
end_without() {
    JOB=$(start_job --kill-on-bad-exit "--iterations 100000 --pause-us 10000")
    wait_for 60 "start of job $JOB" pid_of "$VICTIM" rank >/dev/null
    sleep 2
    send KILL "$VICTIM" "$1"
    end_of_job
    wait_for 120 "idle nodes after job $JOB" nodes_idle
}

@test "idle, a rank is stopped" { stopped idle rank; }
@test "idle, a master is stopped" { stopped idle master; }
@test "idle, a slurmstepd is stopped" { stopped idle slurmstepd; }
@test "idle, a master stays stopped" { stays_stopped idle; }
@test "idle, a rank is killed" { killed idle rank; }
@test "idle, a master is killed" { killed_master idle; }
@test "idle, a slurmstepd is killed" { killed idle slurmstepd; }

@test "draining, a rank is stopped" { stopped draining rank; }
@test "draining, a master is stopped" { stopped draining master; }
@test "draining, a slurmstepd is stopped" { stopped draining slurmstepd; }
@test "draining, a master stays stopped" { stays_stopped draining; }
@test "draining, a rank is killed" { killed draining rank; }
@test "draining, a master is killed" { killed_master draining; }
@test "draining, a slurmstepd is killed" { killed draining slurmstepd; }

@test "silent, a rank is stopped" { stopped silent rank; }
@test "silent, a master is stopped" { stopped silent master; }
@test "silent, a slurmstepd is stopped" { stopped silent slurmstepd; }
@test "silent, a master stays stopped" { stays_stopped silent; }
@test "silent, a rank is killed" { killed silent rank; }
@test "silent, a master is killed" { killed_master silent; }
@test "silent, a slurmstepd is killed" { killed silent slurmstepd; }

@test "releasing, a rank is stopped" { stopped releasing rank; }
@test "releasing, a master is stopped" { stopped releasing master; }
@test "releasing, a slurmstepd is stopped" { stopped releasing slurmstepd; }
@test "releasing, a master stays stopped" { stays_stopped releasing; }
@test "releasing, a rank is killed" { killed releasing rank; }
@test "releasing, a master is killed" { killed_master releasing; }
@test "releasing, a slurmstepd is killed" { killed releasing slurmstepd; }
