# Programs that were not built for GRL are drained through the preloaded library, and give the result they give without.
# shellcheck shell=bash disable=SC2154

load lab.d/bats

setup_file() { lab_is_up || lab_for_file; }

# start_step SRUN_OPTIONS COMMAND: one rank on each guest; prints the job's number.
start_step() {
    submit -N "${#GUESTS[@]}" --ntasks-per-node=1 -t 10 -o /tmp/job-%j.out <<-E
	#!/bin/bash
	srun $1 $2
	E
}

# output_of SRUN_OPTIONS COMMAND: what a job of its own printed, once it has ended well.
output_of() {
    local job
    job=$(start_step "$@")
    ended_well "$job"
}

ended_well() {
    wait_for 180 "end of job $1" job_ended "$1"
    job_output "$1"
    [[ $(job_state "$1") == COMPLETED ]]
}

# drained COMMAND LEAST: under GRL the command is brought to silence LEAST times or more, and prints what it prints without.
drained() {
    local plain job times
    plain=$(output_of "" "$1")
    job=$(start_step --grl-checkpoint "$1")
    wait_ready "$job"
    times=$(in_ctl grlctl --json rehearse "$job" --times 1000 --every 200 2>&1 | grep -c '"phase":"done"' || true)
    run ended_well "$job"
    echo "$times rehearsals; $output"
    ((status == 0 && times >= $2))
    [[ $output == "$plain" ]]
}

@test "every kind of epoch, messages and collectives" {
    drained "/opt/grl/mpi_mix --iterations 30 --pause-us 50000" 5
}

@test "a proof counts the operations of a program that was not built for GRL" {
    local job report
    job=$(start_step --grl-checkpoint "/opt/grl/mpi_mix --iterations 30 --pause-us 100000")
    wait_ready "$job"
    for _ in 1 2 3 4 5; do report=$(grl rehearse "$job"); done
    run ended_well "$job"
    echo "$report"
    ((status == 0))
    jq -e '.proof | .ranks == 3 and .issued > 0 and .issued == .completed + .deferred' <<<"$report"
}

@test "a line is captured of it, and restored" {
    local plain job
    plain=$(output_of "" "/opt/grl/mpi_mix --iterations 40 --pause-us 50000")
    job=$(start_step --grl-checkpoint "/opt/grl/mpi_mix --iterations 40 --pause-us 50000")
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    in_ctl grlctl restore "$job"
    run ended_well "$job"
    echo "$output"
    ((status == 0))
    [[ $output == "$plain" ]]
}

@test "a Fortran program" { drained "/opt/grl/mpi_ring 150" 5; }

@test "a program with MPI_THREAD_MULTIPLE" {
    drained "/opt/grl/mpi_mix --threads 3 --iterations 80 --pause-us 50000" 5
}

@test "a program behind a shell, env and time" {
    drained "bash -c 'time env A=b /opt/grl/mpi_mix --iterations 30 --pause-us 50000 2>/dev/null' 2>/dev/null" 3
}

known() { grl status | jq -e ".jobs[] | select(.job == $1)" >/dev/null; }

@test "random mixes of ARMCI's operations against a model of memory" { drained "/opt/grl/armci_mix --seeds 4" 3; }

@test "a step that is no MPI program puts lines off and ends well" {
    local job
    job=$(start_step --grl-checkpoint "sleep 15")
    wait_for 60 "step of job $job" known "$job"
    run in_ctl grlctl rehearse "$job" --times 3 --every 200
    echo "$output"
    ((status != 0))
    [[ $output == *"initialised"* ]]
    ended_well "$job"
}
