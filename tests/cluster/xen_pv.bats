# Paravirtual guests: Debian's hypervisor cannot note which pages one writes, so they are captured but cannot move while they run.
# shellcheck shell=bash disable=SC2154

export GRL_LAB_XEN_TYPE=pv
load ../lab.d/bats

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

@test "a guest stands still while it moves, and the bridge says why" {
    local job
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 50000")
    wait_ready "$job"
    in_ctl grlctl migrate g1 h2
    grep "the hypervisor cannot note what a pv guest writes" "$LAB/h1/grl-bridge.log"
    in_ctl grlctl migrate g1 h1
    right_result "$job"
}
