# Paravirtual guests: Debian's hypervisor cannot note which pages one writes, so they are captured but cannot move while they run.
# shellcheck shell=bash disable=SC2154

export GRL_LAB_XEN_TYPE=pv
load lab.d/bats

setup_file() { lab_if_needed; }

@test "the guests are paravirtual" {
    local guest
    for guest in "${GUESTS[@]}"; do guest_sh "$guest" "cat /sys/hypervisor/guest_type" | grep -qx PV; done
}

@test "a job is captured by stop-and-copy, restored, and its result is right" {
    local job
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 100000")
    wait_ready "$job"
    run in_ctl grlctl --json checkpoint "$job"
    echo "$output"
    ((status == 0))
    jq -e 'all(.guests[]; .method == "stop_copy")' <<<"$output"
    in_ctl grlctl restore "$job"
    right_result "$job"
}

@test "a move is refused with the hypervisor's reason, and the job is right" {
    local job
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 50000")
    wait_ready "$job"
    run in_ctl grlctl migrate g1 h2
    echo "$output"
    ((status != 0))
    [[ $output == *"shadow paging"* || $output == *logdirty* ]]
    grl status | jq -e '.hosts[] | select(.host == "h1") | .guests[] | select(.name == "g1" and .state == "running")'
    right_result "$job"
}
