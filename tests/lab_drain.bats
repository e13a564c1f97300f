# A job whose rank never drains loses the line and nothing else.
# shellcheck shell=bash disable=SC2154

load lab.d/bats

setup_file() { lab_is_up || lab_for_file; }

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
