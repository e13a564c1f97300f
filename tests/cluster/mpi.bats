# Programs that were not built for GRL are drained through the preloaded library, and give the result they give without.
# shellcheck shell=bash disable=SC2154

export GRL_LAB_NODES=native
load ../lab.d/bats

setup_file() { lab_if_needed; }

# drained COMMAND LEAST: under GRL the command is brought to silence LEAST times or more, and prints what it prints without.
drained() {
    local plain job times
    plain=$(plain_output "$1")
    job=$(start_step --grl-checkpoint "$1")
    wait_ready "$job"
    times=$(in_ctl grlctl --json rehearse "$job" --times 1000 --every 200 2>&1 | grep -c '"phase":"done"' || true)
    run ended_well "$job"
    echo "$times rehearsals; $output"
    ((status == 0 && times >= $2))
    [[ $output == "$plain" ]]
}

@test "every kind of epoch, messages and collectives" {
    drained "/opt/grl/mpi_mix --iterations 60 --pause-us 50000" 5
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

@test "a Fortran program" { drained "/opt/grl/mpi_ring 150" 5; }

@test "a program with MPI_THREAD_MULTIPLE" {
    drained "/opt/grl/mpi_mix --threads 3 --iterations 100 --pause-us 50000" 5
}

# stands_still COMMAND: held for 6 s, none of its ranks puts anything for as long.
stands_still() {
    local job
    job=$(start_step --grl-checkpoint "$1")
    wait_ready "$job"
    run in_ctl grlctl hold "$job" --limit 6
    echo "$output"
    ((status == 0))
    run ended_well "$job"
    echo "$output"
    ((status == 0))
    [[ $output =~ 'at least '([0-9]+)'.' ]]
    ((BASH_REMATCH[1] >= 5))
}

@test "a program whose error handler has thrown out of a call stands still when it is held" {
    stands_still "/opt/grl/mpi_throws 40"
}

@test "a program whose error handler has jumped out of a call stands still when it is held" {
    stands_still "/opt/grl/mpi_throws 40 jump"
}

@test "a program whose reduction puts from inside stands still when it is held" {
    stands_still "/opt/grl/mpi_throws 40 callback"
}

@test "a program behind a shell, env and time" {
    drained "bash -c 'time env A=b /opt/grl/mpi_mix --iterations 60 --pause-us 50000 2>/dev/null' 2>/dev/null" 3
}

@test "random mixes of ARMCI's operations against a model of memory" { drained "/opt/grl/armci_mix --seeds 40" 3; }

@test "a step that is no MPI program puts lines off and ends well" {
    local job
    job=$(start_step --grl-checkpoint "sleep 20")
    wait_for 60 "a line that is put off" put_off "$job" initialised
    ended_well "$job"
}

@test "ranks of which a wrapper has taken the library run unprotected, and are told why" {
    # shellcheck disable=SC2016
    run output_of --grl-checkpoint \
        'bash -c "[ \$SLURM_PROCID != 1 ] || unset LD_PRELOAD; exec /opt/grl/mpi_mix --iterations 5"'
    echo "$output"
    ((status == 0))
    [[ $output == *"rank 1 runs without libgrl_mpi.so"* ]]
}

put_off() { fails_with "$2" in_ctl grlctl rehearse "$1"; }
