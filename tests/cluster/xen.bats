# What only Xen has: its refusals, its save helper that dies, its domains left behind. Run by `tests/lab --vmm xen check`.
# shellcheck shell=bash disable=SC2154,SC2030,SC2031,SC2016

load ../lab.d/bats

setup_file() {
    lab_if_needed
    job_for_file
}

teardown_file() { cancel_job "$JOB"; }
teardown() { in_host h2 xl destroy filler >/dev/null 2>&1 || true; }

# bridge_fails TEXT CMD...: the bridge, started by CMD with a configuration of its own, says so in its one line of an error.
bridge_fails() {
    local conf=$LAB/etc/refused.toml
    bridge_conf refused | sed 's|^run_dir = .*|run_dir = "/tmp/refused"|' >"$conf"
    fails_with "$1" "${@:2}" --config "$conf"
    grep 'error:' <<<"$output" | grep -q "$1"
    (($(grep -c 'error:' <<<"$output") == 1))
}

# helper_dies HOST: kills the process that saves or loads a guest there, once there is one and it is under way.
helper_dies() {
    # shellcheck disable=SC2016
    in_host "$1" bash -c 'for ((i = 0; i < 3000; i++)); do
        ! pid=$(pidof libxl-save-helper) || break; usleep 20000; done; usleep 300000; kill -9 $pid'
}

# Of each domain but dom0, its name.
domains() { in_host "$1" xl list | awk 'NR > 1 && $1 != "Domain-0" { print $1 }' | sort; }

only_guests_are_left() {
    [[ $(domains h1 && domains h2) == "$(printf '%s\n' "${GUESTS[@]}")" ]]
    local host
    for host in "${HOSTS[@]}"; do
        ! in_host "$host" pidof libxl-save-helper
    done
}

runs_on() { grl status | jq -e ".hosts[] | select(.host == \"$2\") | .guests[] | select(.name == \"$1\" and .state == \"running\")"; }

# bats test_tags=brief
@test "a host without Xen is told so in one line" {
    bridge_fails "must be Xen's dom0" in_ctl timeout 20 "$STAGE/usr/sbin/grl-bridge"
}

# bats test_tags=brief
@test "a bridge that is not root's is told so in one line" {
    bridge_fails "only root may" in_host h1 timeout 20 su -s /bin/sh -c 'exec "$0" "$@"' -- nobody "$VMM_GRL_BRIDGE"
}

# reach ROLE [COUNT]: as ROLE, so many of the six ways to the hypervisor are open; none by default.
reach() {
    run in_host h1 "$BUILD/tests/programs/xen_reach" "$1"
    echo "$output"
    ((status == 0 && ${#lines[@]} == 6))
    (($(grep -c ": reached\$" <<<"$output") == ${2:-0}))
}

# bats test_tags=brief
@test "the processes of a bridge that have no rights cannot reach the hypervisor" {
    build_step "$LAB/build.log" make -C "$BUILD" tests/programs/xen_reach
    reach "" 6
    reach network
    reach keeper
}

@test "a guest for which the hypervisor of the target has no memory stays where it runs" {
    local free
    free=$(in_host h2 xl info free_memory)
    printf '%s\n' 'name = "filler"' 'type = "pvh"' "memory = $((free - GUEST_MIB / 2))" "kernel = \"$DOM0_BOOT/vmlinux\"" >"$LAB/etc/filler.cfg"
    in_host h2 xl create -p -q "$LAB/etc/filler.cfg"
    fails_with "MiB, the hypervisor has" in_ctl grlctl migrate g1 h2
    runs_on g1 h1
    in_host h2 xl destroy filler
    only_guests_are_left
    in_ctl grlctl checkpoint "$JOB"
}

# The job is not silent yet when the helper dies: its guest goes on, and is saved by the next one when it stands still.
@test "a save helper that dies in a live capture costs a stop-and-copy" {
    helper_dies h2 3>&- &
    run in_ctl grlctl --json checkpoint "$JOB"
    wait $! || true
    echo "$output"
    ((status == 0))
    jq -se '.[-1].guests[] | select(.guest == "g2") | .method == "stop_copy" and (.note | contains("live capture failed"))' <<<"$output"
    job_runs "$JOB"
    verified "$JOB" "$(committed "$JOB" | tail -n 1)"
    in_ctl grlctl checkpoint "$JOB"
    only_guests_are_left
}

# move_fails WHERE: g1 on its way from h1 to h2 when the helper there dies: it stays, and nothing else is left.
move_fails() {
    helper_dies "$1" 3>&- &
    run in_ctl grlctl migrate g1 h2
    wait $! || true
    echo "$output"
    ((status != 0))
    wait_for 60 "g1 on h1" runs_on g1 h1
    job_runs "$JOB"
    wait_for 60 "nothing but the guests" only_guests_are_left
    wait_ready "$JOB"
    in_ctl grlctl checkpoint "$JOB"
}

@test "a receiver that dies in mid-stream leaves the guest where it was" { move_fails h2; }

@test "a sender that dies in mid-stream leaves the guest where it was" { move_fails h1; }

# bats test_tags=brief
@test "a domain that dies loses its job, and the job is restored" {
    in_ctl grlctl checkpoint "$JOB"
    kill_guest g2
    wait_for 30 "word of the loss" eval "[[ \$(grl status | jq -r '.jobs[] | select(.job == $JOB) | .state') == lost ]]"
    in_ctl grlctl restore "$JOB"
    wait_ready "$JOB"
    in_ctl grlctl checkpoint "$JOB"
    only_guests_are_left
}

@test "a guest goes to another host and back in mid-job, and its result is right" {
    local job
    cancel_job "$JOB"
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 100000")
    wait_ready "$job"
    in_ctl grlctl migrate g1 h2
    in_ctl grlctl migrate g1 h1
    right_result "$job"
    only_guests_are_left
}
