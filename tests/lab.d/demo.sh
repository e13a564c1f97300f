# shellcheck shell=bash
# A job survives the death of the host of one of its guests; what that cost.

DEMO_PROGRAM=/opt/grl/pgas_demo
DEMO_ARGUMENTS=${GRL_LAB_DEMO_ARGUMENTS:-}
DEMO_EVERY_S=8

demo() {
    local plain job reference line restore reached
    up

    demo_step "the job, undisturbed"
    plain=$(demo_submit)
    demo_wait "$plain"
    reference=$(demo_checksum "$plain")

    demo_step "the same with a line every $DEMO_EVERY_S s and one on demand"
    job=$(demo_submit "--grl-checkpoint=$DEMO_EVERY_S")
    wait_for 90 "first line of job $job" demo_has_line "$job"
    line=$(grl checkpoint "$job")
    reached=$(demo_iteration "$job")
    wait_for 60 "an iteration of job $job after the line" demo_passed "$job" "$reached"
    reached=$(demo_iteration "$job")

    demo_step "h2 dies at iteration $reached, and g2 with it"
    kill_host h2
    restore=$(grl restore "$job")
    wait_for 30 "job $job to answer after the restore" demo_iteration "$job" >/dev/null
    local again
    again=$(demo_iteration "$job")
    demo_wait "$job"

    demo_report "$line" "$restore"
    demo_verdict "$job" "$reference" "$restore" "$reached" "$again"
}

demo_step() { say "demo: $*"; }

# grl VERB...: what grlctl reports, as JSON.
grl() { in_ctl grlctl --json "$@"; }

# demo_submit [SRUN_OPTION...]: prints the job's number.
demo_submit() {
    submit <<-E
	#!/bin/bash
	#SBATCH -J demo -N ${#GUESTS[@]} --ntasks-per-node=1 -t 10 -o /tmp/demo-%j.out
	# Without it a step that Slurm still knows from after the line keeps the next one waiting.
	export SLURM_OVERLAP=1
	srun $* $DEMO_PROGRAM $DEMO_ARGUMENTS
	E
}

# The job's output is in the memory of the batch step's node, so a rollback takes it back, too.
demo_output() { guest_sh "${GUESTS[0]}" cat "/tmp/demo-$1.out"; }
demo_iteration() { demo_output "$1" 2>/dev/null | sed -n 's/.*iteration \([0-9]\{1,\}\).*/\1/p' | tail -n 1 | grep .; }
demo_checksum() { demo_output "$1" | sed -n 's/.*checksum[ =]*\([0-9a-f]*\).*/\1/p' | tail -n 1; }
demo_passed() { (($(demo_iteration "$1" || echo 0) > ${2:-0})); }
demo_has_line() { (($(grl list "$1" | jq '.lines | length') > 0)); }

demo_wait() {
    wait_for 120 "end of job $1" job_ended "$1"
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
    local job=$1 reference=$2 restore=$3 reached=$4 again=$5 checksum generation code verdict=survived
    checksum=$(demo_checksum "$job")
    generation=$(jq .generation <<<"$restore")
    code=$(job_field "$job" ExitCode)
    [[ -n $reference && $checksum == "$reference" && $generation == 1 && $code == 0:0 ]] || verdict=FAILED
    ((again < reached)) || verdict=FAILED
    printf '\njob %s: exit %s, checksum %s (undisturbed: %s), generation %s, iterations %s to %s run twice\nverdict: %s\n' \
        "$job" "$code" "$checksum" "$reference" "$generation" "$again" "$reached" "$verdict"
    [[ $verdict == survived ]]
}
