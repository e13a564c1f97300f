# shellcheck shell=bash
# A job survives the death of the host of one of its guests; what that cost.

DEMO_EVERY_S=${DEMO_EVERY_S:-5}
DEMO_LOG_PORT=7500
# The pause leaves time for lines and a death where guests are fast.
DEMO_PROGRAM="/opt/grl/pgas_demo --iterations ${DEMO_ITERATIONS:-60} --pause-us ${DEMO_PAUSE_US:-150000}"

demo() {
    local plain job reference line restore
    up
    demo_listen

    demo_step "the job, undisturbed"
    plain=$(demo_submit)
    demo_wait "$plain"
    reference=$(demo_checksum "$plain")

    demo_step "the same with a line every $DEMO_EVERY_S s and one on demand"
    : >"$LAB/ctl/demo-log.log"
    job=$(demo_submit "--grl-checkpoint=$DEMO_EVERY_S")
    wait_for 120 "first line of job $job" demo_has_line "$job"
    line=$(grl checkpoint "$job")
    wait_for 60 "iterations of job $job after the line" demo_passed "$(($(demo_iteration) + 3))"

    demo_step "h2 dies, and g2 with it, at iteration $(demo_iteration)"
    kill_host h2
    wait_for 60 "word that h2 is gone" host_is_missed h2
    restore=$(grl restore "$job")
    demo_wait "$job"

    demo_report "$line" "$restore"
    local survived=0
    demo_verdict "$job" "$reference" "$restore" || survived=$?
    down
    return "$survived"
}

demo_step() { say "demo: $*"; }

# grl VERB...: what grlctl reports, as JSON.
grl() { in_ctl grlctl --json "$@"; }

# Keeps what rank 0 says of each iteration. A job's output is part of the cut and is rolled back with it; this is not.
demo_listen() { start_daemon ctl demo-log socat -u "UDP-RECV:$DEMO_LOG_PORT" STDOUT; }
demo_iteration() { tail -n 1 "$LAB/ctl/demo-log.log" | sed 's/[^0-9]//g' | grep . || echo 0; }
demo_passed() { (($(demo_iteration) >= $1)); }
demo_run_twice() { sort "$LAB/ctl/demo-log.log" | uniq -d | wc -l; }

# demo_submit [SRUN_OPTION...]: prints the job's number.
demo_submit() {
    submit <<-E
	#!/bin/bash
	#SBATCH -J demo -N ${#GUESTS[@]} --ntasks-per-node=1 -t 10 -o /tmp/demo-%j.out
	srun $* $DEMO_PROGRAM --udp-log $CLUSTER.1:$DEMO_LOG_PORT
	E
}

demo_output() { guest_sh "${GUESTS[0]}" cat "/tmp/demo-$1.out"; }
demo_checksum() { demo_output "$1" | sed -n 's/^checksum \([0-9a-f]*\) errors 0 .*/\1/p'; }
demo_has_line() { (($(grl list "$1" | jq '.lines | length') > 0)); }

demo_wait() {
    wait_for 240 "end of job $1" job_ended "$1"
    [[ $(job_state "$1") == COMPLETED ]] || {
        demo_output "$1" >&2 || true
        die "demo: job $1 ended as $(job_state "$1") (its output is above)"
    }
}

demo_report() {
    local row='%-10s %-6s %-12s %10s %14s %14s\n'
    # shellcheck disable=SC2059
    {
        printf "\n$row" phase guest how ms bytes stored
        jq -r '(.phases[] | [.phase, "-", "-", (.ms * 10 | round / 10), "-", "-"]),
               (.guests[] | ["  paused", .guest, .method, (.paused_ms * 10 | round / 10), .raw_bytes, .stored_bytes])
               | @tsv' <<<"$1" | while IFS=$'\t' read -r -a cell; do printf "$row" "${cell[@]}"; done
        jq -r '([.stages, .stage_ms] | transpose[] | [.[0], "-", "restore", (.[1] * 10 | round / 10), "-", "-"]),
               (.guests[] | ["  on " + .host, .guest, "restore", "-", .raw_bytes, .stored_bytes]),
               ["total", "-", "restore", (.total_ms * 10 | round / 10), "-", "-"]
               | @tsv' <<<"$2" | while IFS=$'\t' read -r -a cell; do printf "$row" "${cell[@]}"; done
    }
}

demo_verdict() {
    local job=$1 reference=$2 checksum generation code twice verdict=FAILED
    checksum=$(demo_checksum "$job")
    generation=$(jq .generation <<<"$3")
    code=$(job_field "$job" ExitCode)
    twice=$(demo_run_twice)
    [[ -z $reference || $checksum != "$reference" || $generation != 1 || $code != 0:0 || $twice == 0 ]] || verdict=survived
    printf '\njob %s: exit %s, checksum %s (undisturbed %s), generation %s, %s iterations run twice\nverdict: %s\n' \
        "$job" "$code" "$checksum" "$reference" "$generation" "$twice" "$verdict"
    [[ $verdict == survived ]]
}
