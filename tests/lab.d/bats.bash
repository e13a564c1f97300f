# shellcheck shell=bash
# What the bats files have in common: the lab's own functions, a job that takes lines, and what is asked of it.

# shellcheck source-path=SCRIPTDIR source=all.sh
source "$(dirname "${BASH_SOURCE[0]}")/all.sh"

# For a file: up afresh, or what an earlier file has left idle. A test that breaks a machine mends it.
lab_for_file() { "$SOURCE/tests/lab" up 2>&1; }
lab_if_needed() { up_unless_ready 2>&1; }

# start_job SRUN_OPTIONS PROGRAM_OPTIONS [SBATCH_OPTION...]: a pgas_demo on all guests; prints the job's number.
start_job() {
    local srun_options=$1 program_options=$2
    shift 2
    submit -N "${#GUESTS[@]}" --ntasks-per-node=1 -t 10 -o /tmp/job-%j.out "$@" <<-E
	#!/bin/bash
	srun $srun_options /opt/grl/pgas_demo $program_options
	E
}

# A protected job for the tests of a file, in $JOB; it lasts longer than they do.
job_for_file() {
    JOB=$(start_job --grl-checkpoint "--iterations 100000 --pause-us 20000")
    export JOB
    wait_ready "$JOB"
}

job_output() { guest_sh "${GUESTS[0]}" cat "/tmp/job-$1.out"; }
# right_result JOB: it ended well, with every value right.
right_result() {
    wait_for 180 "end of job $1" job_ended "$1"
    [[ $(job_state "$1") == COMPLETED ]] || { job_output "$1"; return 1; }
    job_output "$1" | grep -q '^checksum [0-9a-f]* errors 0 '
}

# committed JOB: the lines of the job that can be restored, one number a line.
committed() { grl list "$1" | jq -r '.lines[] | select(.phase == "done") | .line'; }
verified() { in_ctl grlctl verify "$1/$2" >/dev/null; }

# fails_with TEXT CMD...: CMD must fail and say so.
# shellcheck disable=SC2154 # bats sets status and output
fails_with() {
    local wanted=$1
    shift
    run "$@"
    echo "exit $status: $output"
    ((status != 0)) && [[ $output == *"$wanted"* ]]
}

# start_step SRUN_OPTIONS COMMAND: one rank on each guest, none of which is waited for when another has died; prints the job's number.
start_step() {
    submit -N "${#GUESTS[@]}" --ntasks-per-node=1 -t 10 -o /tmp/job-%j.out <<-E
	#!/bin/bash
	srun -K $1 $2
	E
}

# line_reaches PHASE: as the checkpoint that writes there tells.
line_reaches() { grep -q "$1" "$BATS_TEST_TMPDIR/out"; }

# moving PHASE: whether a move beside $JOB is there.
moving() { [[ $(grl status | jq -r ".jobs[] | select(.job == $JOB) | .reason") == *": $1" ]]; }

# output_of SRUN_OPTIONS COMMAND: what a job of its own printed, once it has ended well.
output_of() {
    local job
    job=$(start_step "$@")
    ended_well "$job"
}

# plain_output COMMAND: as output_of, without GRL. Once more if it fails, as OpenMPI 4.1 may when two ranks connect to each other while it
# begins (open-mpi/ompi issue 3035).
plain_output() {
    local output
    output=$(output_of "" "$1") || output=$(output_of "" "$1") || { echo "$output"; return 1; }
    echo "$output"
}

ended_well() {
    wait_for 180 "end of job $1" job_ended "$1"
    job_output "$1"
    [[ $(job_state "$1") == COMPLETED ]]
}
