# A job that asks for protection and cannot have it is told so before a task starts.
# shellcheck shell=bash disable=SC2154

export GRL_LAB_NODES=native
load ../lab.d/bats

setup_file() { lab_if_needed; }

# step [SRUN_OPTION...]: one task on each of two guests, from the control host.
step() { as_user timeout 60 srun -N2 -n2 "$@" hostname; }

@test "srun --help shows the option" {
    run as_user srun --help
    [[ $output == *"--grl-checkpoint"* ]]
}

@test "a protected step of a program that is no ARMCI program runs" {
    run step --grl-checkpoint
    echo "$output"
    ((status == 0))
    [[ $output == *g1* && $output == *g2* ]]
}

@test "a bad value is refused with what would be good" {
    fails_with "on-demand" step --grl-checkpoint=sometimes
    [[ $output != *g1* ]]
}

@test "shared nodes are refused with the way out" {
    fails_with "--exclusive" step -p shared --grl-checkpoint
    [[ $output != *$'\ng'* ]]
}

@test "GRL_CHECKPOINT asks as the option does, and the option overrides it" {
    fails_with "--exclusive" as_user GRL_CHECKPOINT=on-demand timeout 60 srun -p shared -n1 hostname
    run as_user GRL_CHECKPOINT=on-demand timeout 60 srun -p shared --grl-checkpoint=no -n1 hostname
    ((status == 0))
}

@test "a node that is no known guest is refused by name" {
    local job
    job=$(submit -N1 -o /dev/null --wrap "sleep 300")
    wait_for 60 "start of job $job" job_runs "$job"
    run in_ctl "$STAGE/usr/libexec/grl/grl-master" --check --coordinator "$COORDINATOR" --job "$job" --step 0 --nodes g1,n9
    cancel_job "$job"
    echo "$output"
    ((status != 0))
    [[ $output == *n9* ]]
}

@test "without a coordinator a step is refused, and a site's default runs with a warning" {
    kill_coordinator
    fails_with "$COORDINATOR" step --grl-checkpoint
    [[ $output != *$'\ng'* ]]
    plugstack default=on-demand
    run step
    plugstack
    start_coordinator
    echo "$output"
    ((status == 0))
    [[ $output == *g1* && $output == *warn* ]]
}

@test "a site's default that cannot be met warns and lets the job run" {
    plugstack default=on-demand
    run step -p shared
    plugstack
    echo "$output"
    ((status == 0))
    [[ $output == *g1* && $output == *shar* ]]
}

@test "an unknown plugstack argument is one clear line, and the step does not start" {
    plugstack defualt=on-demand
    run step --grl-checkpoint
    plugstack
    echo "$output"
    ((status != 0))
    [[ $output == *defualt* ]]
}

@test "guests may not speak as bridges or for another node" {
    # The cluster's key is not the hosts': a guest's credential is worth nothing on the management network's realm.
    run guest_sh g1 "munge -n </dev/null | head -c 20"
    [[ $output == MUNGE:* ]]
    run guest_sh g1 "ls /run/munge-hosts /run/munge/hosts.socket"
    ((status != 0))
    fails_with "" guest_sh g2 "/usr/libexec/grl/grl-master --check --coordinator $COORDINATOR_HOSTS --job 1 --step 0 --nodes g1"
}
