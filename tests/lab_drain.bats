# A job whose rank never drains loses the line and nothing else.
# shellcheck shell=bash disable=SC2154

load lab.d/bats

setup_file() { lab_is_up || lab_for_file; }

@test "a rank that never drains aborts the line by name, and the job ends right" {
    local job
    job=$(start_job --grl-checkpoint "--iterations 120 --pause-us 50000 --stuck-rank 1 --stuck-at 20 --stuck-s 25")
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    wait_for 90 "the rank to be stuck" iterations_reach "$job" 20
    run in_ctl grlctl checkpoint "$job"
    echo "$output"
    ((status != 0))
    [[ $output == *"rank 1"* ]]
    verified "$job" "$(committed "$job" | tail -n 1)"
    right_result "$job"
}

iterations_reach() { (($(job_output "$1" | sed -n 's/^iteration \([0-9]*\) .*/\1/p' | tail -n 1 | grep . || echo 0) >= $2)); }
