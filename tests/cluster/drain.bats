# A job whose rank never drains loses the line and nothing else; one that was not built for GRL is drained and restored as well.
# shellcheck shell=bash disable=SC2154

load ../lab.d/bats

setup_file() { lab_if_needed; }

@test "a rank that never drains aborts the line by name, and the job ends right" {
    local job rank
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 50000")
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    # shellcheck disable=SC2016
    rank=$(guest_sh g2 'pidof pgas_demo')
    guest_sh g2 "kill -STOP $rank"
    run in_ctl grlctl checkpoint "$job"
    guest_sh g2 "kill -CONT $rank"
    echo "$output"
    ((status != 0))
    [[ $output == *"rank 1"* ]]
    verified "$job" "$(committed "$job" | tail -n 1)"
    right_result "$job"
}

@test "a line of a program that was not built for GRL is captured, and restored" {
    local plain job
    plain=$(plain_output "/opt/grl/mpi_mix --iterations 40 --pause-us 50000")
    job=$(start_step --grl-checkpoint "/opt/grl/mpi_mix --iterations 40 --pause-us 50000")
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    in_ctl grlctl restore "$job"
    run ended_well "$job"
    echo "$output"
    ((status == 0))
    [[ $output == "$plain" ]]
}
