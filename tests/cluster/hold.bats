# A job that is held stands still until it is let go, and ends with its right result.
# shellcheck shell=bash disable=SC2154

load ../lab.d/bats

setup_file() {
    lab_if_needed
    job_for_file
}

held() { [[ $(grl status | jq -r ".jobs[] | select(.job == $JOB) | .state") == held ]]; }

@test "a hold that would outlast Slurm's patience is refused" {
    fails_with "SlurmdTimeout" in_ctl grlctl hold "$JOB" --limit 100000
    job_runs "$JOB"
}

@test "a held job's guests stand still until it is let go" {
    local guest
    run in_ctl grlctl hold "$JOB" --limit 60
    echo "$output"
    ((status == 0))
    [[ $output == *"is held"*"goes on by itself in 60 s"* ]]
    held
    for guest in "${GUESTS[@]}"; do grl status | jq -e ".hosts[].guests[] | select(.name == \"$guest\") | .state == \"paused\""; done
    fails_with "held" in_ctl grlctl checkpoint "$JOB"
    run in_ctl grlctl release "$JOB"
    echo "$output"
    ((status == 0))
    [[ $output == *"goes on"* ]]
    in_ctl grlctl checkpoint "$JOB"
}

@test "a hold ends at its limit" {
    in_ctl grlctl hold "$JOB" --limit 4
    held
    wait_for 30 "end of the hold" eval '! held'
    in_ctl grlctl rehearse "$JOB"
    cancel_job "$JOB"
}

@test "a job that is held with a line survives the power-off of all hosts" {
    local job host guest
    job=$(start_job --grl-checkpoint "--iterations 30 --pause-us 20000")
    wait_ready "$job"
    run in_ctl grlctl hold --checkpoint "$job" --limit 120
    echo "$output"
    ((status == 0))
    [[ $output == *"Line $job/"*" is committed"* ]]
    for guest in "${GUESTS[@]}"; do in_ctl grlctl stop "$guest"; done
    for host in "${HOSTS[@]}"; do kill_host "$host"; done
    for host in "${HOSTS[@]}"; do revive_host "$host"; done
    for host in "${HOSTS[@]}"; do wait_for 30 "host $host" eval "grl status | jq -e '.hosts[] | select(.host == \"$host\") | .connected'"; done
    in_ctl grlctl restore "$job"
    right_result "$job"
}

@test "a hold ends when the coordinator is lost, and the job is right" {
    local job
    job=$(start_job --grl-checkpoint "--iterations 30 --pause-us 20000")
    wait_ready "$job"
    in_ctl grlctl hold "$job" --limit 60
    kill_coordinator
    start_coordinator
    right_result "$job"
}
