# Guests with an adapter that is passed through to them, which cannot be saved: it is out while they are.
# shellcheck shell=bash disable=SC2154,SC2016

export GRL_LAB_ADAPTERS=1
load ../lab.d/bats

setup_file() {
    lab_if_needed
    job_for_file
}

teardown_file() { cancel_job "$JOB"; }

has_adapter() { guest_sh "$1" "cat /sys/bus/pci/devices/*/modalias 2>/dev/null" | grep -q "$VMM_ADAPTER_KIND"; }
all_have_adapters() {
    local guest
    for guest in "${GUESTS[@]}"; do has_adapter "$guest"; done
}

@test "every guest has its adapter" { all_have_adapters; }

@test "a line is captured without the adapters, and gives them back" {
    run in_ctl grlctl --json checkpoint "$JOB"
    echo "$output"
    ((status == 0))
    jq -e 'all(.guests[]; .method == "stop_copy" and (.note | contains("it has adapters")))' <<<"$output"
    all_have_adapters
}

@test "a bridge that dies while the adapters are out is followed by one that gives them back" {
    in_ctl grlctl checkpoint "$JOB" >"$BATS_TEST_TMPDIR/out" 2>&1 &
    local asked=$!
    wait_for 30 "images of a line" line_reaches capture
    kill_bridge h1
    start_bridge h1
    wait "$asked" || true
    cat "$BATS_TEST_TMPDIR/out"
    wait_ready "$JOB"
    all_have_adapters
    in_ctl grlctl checkpoint "$JOB"
}

@test "a bridge that dies while it sends such a guest, which stands still, is followed by one that lets it go on" {
    [[ $VMM == qemu ]] || skip "Xen's bridge takes the guest's suspension for what it is by itself"
    local to=${HOSTS[-1]} asked
    guest_sh g2 'kill -STOP $(pidof pgas_demo)'
    in_ctl grlctl migrate g1 "$to" >"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
    asked=$!
    wait_for 40 "drain" moving drain
    in_host "$to" sh -c 'kill -STOP "$(cat "$0")"' "$LAB/$to/run/g1.pid"
    guest_sh g2 'kill -CONT $(pidof pgas_demo)'
    wait_for 20 "switch-over" moving switchover
    kill_bridge h1
    start_bridge h1
    in_host "$to" sh -c 'kill -CONT "$(cat "$0")"' "$LAB/$to/run/g1.pid" || true
    wait "$asked" || true
    cat "$BATS_TEST_TMPDIR/out"
    wait_ready "$JOB"
    all_have_adapters
    in_ctl grlctl checkpoint "$JOB"
}

@test "a guest moves without its adapter and gets one of the other host" {
    local to=${HOSTS[-1]}
    in_ctl grlctl migrate g1 "$to"
    has_adapter g1
    in_ctl grlctl rehearse "$JOB"
}
