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

# script SBATCH_OPTION...: runs the batch script on standard input and prints its output.
script() {
    local job
    job=$(submit -N2 --ntasks-per-node=1 -t 5 -o /tmp/job-%j.out "$@")
    wait_for 120 "end of job $job" job_ended "$job" >&2
    job_output "$job"
    [[ $(job_state "$job") == COMPLETED ]]
}

@test "a step whose ranks could not agree is refused with the setting and the remedy" {
    fails_with "PMIX_MCA_gds=hash" as_user PMIX_MCA_gds=hash timeout 60 srun -N2 -n2 --grl-checkpoint hostname
    [[ $output == *"unset it"* && $output != *$'\ng'* ]]
    fails_with "PMIX_MCA_gds=^ds12,ds21" as_user PMIX_MCA_gds=^ds12,ds21 timeout 60 srun -N2 -n2 --grl-checkpoint hostname
    # Of the tasks only: srun does not see it in its own environment.
    fails_with "PMIX_MCA_gds=hash" step --grl-checkpoint --export=ALL,PMIX_MCA_gds=hash
    [[ $output != *$'\ng'* ]]
    run as_user PMIX_MCA_gds=hash timeout 60 srun -N2 -n2 hostname
    ((status == 0))
}

@test "direct connections that a user has turned off are not turned on in silence" {
    fails_with "SLURM_PMIX_DIRECT_CONN=false" as_user SLURM_PMIX_DIRECT_CONN=false timeout 60 srun -N2 -n2 --grl-checkpoint hostname
    [[ $output == *"unset it"* && $output != *$'\ng'* ]]
    run as_user SLURM_PMIX_DIRECT_CONN=false timeout 60 srun -N1 -n1 --grl-checkpoint hostname
    ((status == 0))
}

@test "heterogeneous jobs are refused with the way out" {
    fails_with "component" as_user timeout 60 srun --grl-checkpoint -N1 -n1 hostname : --grl-checkpoint -N1 -n1 hostname
    [[ $output != *$'\ng'* ]]
    fails_with "component" as_user timeout 60 salloc -N2 bash -c "srun --grl-checkpoint -N1 -n1 hostname : --grl-checkpoint -N1 -n1 hostname"
    [[ $output != *$'\ng'* ]]
}

# Of variables; the option itself travels with the job.
names() { sed 's/=.*//; /^SLURM_SPANK_/d; /^slurmstepd/d' | sort; }

@test "a protected job's script finds the environment that it would find without" {
    local plain protected
    plain=$(script <<<$'#!/bin/bash\nenv')
    protected=$(script --grl-checkpoint=600 <<<$'#!/bin/bash\nenv')
    run diff <(names <<<"$plain") <(names <<<"$protected")
    echo "$output"
    ((status == 0))
}

@test "steps that share nothing are packed side by side in a protected job" {
    run script --grl-checkpoint=600 -N1 <<-'E'
	#!/bin/bash
	for i in 1 2 3 4 5 6; do
	    srun --mpi=none -n1 --exact sh -c 'a=$(cut -d. -f1 /proc/uptime); sleep 4; echo ran $a $(cut -d. -f1 /proc/uptime)' &
	done
	wait
	E
    echo "$output"
    # At most four at a time, as there are four processors: those of the second wave begin when one of the first has ended.
    (($(grep -c '^ran' <<<"$output") == 6))
    local first_end
    first_end=$(sed -n 's/^ran //p' <<<"$output" | cut -d' ' -f2 | sort -n | head -n 1)
    (($(sed -n 's/^ran //p' <<<"$output" | awk -v end="$first_end" '$1 >= end' | wc -l) >= 2))
}

@test "protection does not leak into jobs and steps begun from inside" {
    run script -N1 <<-'E'
	#!/bin/bash
	srun -n1 --grl-checkpoint sh -c 'env >/tmp/protected; srun --overlap -n1 --grl-checkpoint=no env >/tmp/inner'
	grep -c GRL_LINE_PAGE /tmp/protected
	sed 's/=.*//' /tmp/inner | grep -E 'GRL|OVERLAP|OMPI_MCA|LD_PRELOAD|SLURM_PMIX_FENCE' | grep -v GRL_COORDINATOR
	echo over
	E
    echo "$output"
    ((status == 0))
    [[ $output == $'1\nover' ]]
}

@test "a job begun from inside a protected one has a wish of its own" {
    local outer inner
    outer=$(submit -N1 -t 5 -o /tmp/job-%j.out --grl-checkpoint=600 <<-'E'
	#!/bin/bash
	sbatch --parsable -N1 -w g2 -o /tmp/job-%j.out --wrap 'for run in "" "srun -n1"; do $run env | sed "s/=.*//" | grep -iE "grl|overlap|OMPI_MCA|preload" | grep -v GRL_COORDINATOR; done; echo over'
	E
    )
    wait_for 120 "end of job $outer" job_ended "$outer"
    inner=$(job_output "$outer" | grep -E '^[0-9]+$')
    wait_for 120 "end of job $inner" job_ended "$inner"
    run guest_sh g2 cat "/tmp/job-$inner.out"
    echo "$output"
    [[ $output == over ]]
}

@test "no component of Open MPI is chosen for a protected step" {
    run as_user timeout 60 srun -N2 -n2 --grl-checkpoint env
    ((status == 0))
    [[ $output == *GRL_LINE_PAGE=* && $output != *OMPI_MCA_osc* ]]
}

@test "a job in which nothing is protected is told so at its end" {
    run script -N1 --grl-checkpoint <<<$'#!/bin/bash\nhostname'
    echo "$output"
    [[ $output == *"nothing in it was protected"* && $output == *"srun --mpi=pmix"* ]]
    run script -N1 --grl-checkpoint <<<$'#!/bin/bash\nsrun -n1 hostname'
    echo "$output"
    [[ $output != *protected* ]]
    run script -N1 <<<$'#!/bin/bash\nmpirun -n 1 hostname'
    [[ $output != *protected* ]]
}

# A shell of that name does as Open MPI's mpirun does; the guests have no mpirun.
@test "mpirun says once, at its start, that what it begins is not protected" {
    run script -N1 --grl-checkpoint <<-'E'
	#!/bin/bash
	cp "$(command -v bash)" /tmp/mpirun
	/tmp/mpirun -c 'srun --mpi=none -n1 hostname >/dev/null 2>&1; echo ended'
	E
    echo "$output"
    [[ $output == *"what mpirun begins is not protected"*ended* && $output != *"nothing in it"* ]]
}

@test "a side step does not keep the main one from its lines" {
    local job
    job=$(submit -N2 --ntasks-per-node=1 -t 10 -o /tmp/job-%j.out --grl-checkpoint <<-'E'
	#!/bin/bash
	srun -n2 /opt/grl/pgas_demo --iterations 100000 --pause-us 20000 &
	sleep 5
	srun --overlap -N1 -n1 sleep 300 &
	wait
	E
    )
    wait_ready "$job"
    wait_for 30 "the side step" side_step_runs "$job"
    run grl rehearse "$job"
    echo "$output"
    ((status == 0))
    run job_output "$job"
    cancel_job "$job"
    echo "$output"
    [[ $output == *"runs unprotected: step $job.0 is protected"* ]]
}

side_step_runs() { [[ $(in_ctl squeue -h -s -j "$1" -o %i) == *"$1.1"* ]]; }

@test "a task of an array is asked for as squeue prints it" {
    local job
    job=$(submit -N2 --ntasks-per-node=1 -t 10 --array=3 -o /tmp/job-%A.out <<-'E'
	#!/bin/bash
	srun --grl-checkpoint /opt/grl/pgas_demo --iterations 100000 --pause-us 20000
	E
    )
    wait_for 60 "start of job ${job}_3" job_runs "${job}_3"
    wait_ready "$(in_ctl squeue -h -j "${job}_3" -o %A)"
    run in_ctl grlctl rehearse "${job}_3"
    cancel_job "$job"
    echo "$output"
    ((status == 0))
    fails_with "no such" in_ctl grlctl rehearse "${job}_4"
}

@test "guests may not speak as bridges or for another node" {
    # The cluster's key is not the hosts': a guest's credential is worth nothing on the management network's realm.
    run guest_sh g1 "munge -n </dev/null | head -c 20"
    [[ $output == MUNGE:* ]]
    run guest_sh g1 "ls /run/munge-hosts /run/munge/hosts.socket"
    ((status != 0))
    fails_with "" guest_sh g2 "/usr/libexec/grl/grl-master --check --coordinator $COORDINATOR_HOSTS --job 1 --step 0 --nodes g1"
}
