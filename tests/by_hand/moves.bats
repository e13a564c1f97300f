# What dies in a move, and when: one copy of the guest or none runs afterwards, the job goes on, and nothing is left behind.
# The phases are held open with the real parts: a slow stream keeps the first pass going, a stopped rank of another guest
# the drain, the target's stopped QEMU the switch-over. Prints a table of what was seen. By hand, as it takes ten minutes:
#   sudo timeout 1800 bats tests/by_hand/moves.bats
# shellcheck shell=bash disable=SC2154,SC2016

export GRL_LAB_MOVE_LIMIT_MIB_S=20
load ../lab.d/bats

GUEST=g2
OTHER=g3

setup_file() {
    lab_for_file
    : >"$BATS_FILE_TMPDIR/rows"
    JOB=$(start_job --grl-checkpoint "--iterations 1000 --pause-us 20000" -t 60)
    export JOB
    wait_ready "$JOB"
    in_ctl grlctl checkpoint "$JOB"
}

teardown_file() {
    {
        printf '| phase | what dies | the guest | the move | the job |\n| --- | --- | --- | --- | --- |\n'
        cat "$BATS_FILE_TMPDIR/rows"
    } >&3
}

host_of() { grl status | jq -r ".hosts[] | select(.guests[] | .name == \"$1\" and .state == \"running\") | .host"; }
copies() { grl status | jq -c "[.hosts[].guests[] | select(.name == \"$GUEST\") | .state]"; }
one_copy() { [[ $(copies) == '["running"]' ]]; }
no_copy() { [[ $(grl status | jq "[.hosts[].guests[] | select(.name == \"$GUEST\" and .state != \"lost\")] | length") == 0 ]]; }
qemu() { in_host "$2" sh -c 'kill "-$0" "$(cat "$1")"' "$1" "$LAB/$2/run/$GUEST.pid"; }
rank() { guest_sh "$OTHER" "kill -$1 \$(pidof pgas_demo)"; }
connected() { grl status | jq -e ".hosts[] | select(.host == \"$1\") | .connected" >/dev/null; }

# enter PHASE: a move that stays in it.
enter() {
    FROM=$(host_of "$GUEST")
    TO=$([[ $FROM == h4 ]] && echo h2 || echo h4)
    [[ $1 == precopy ]] || rank STOP
    in_ctl grlctl migrate "$GUEST" "$TO" >"$BATS_TEST_TMPDIR/migrate" 2>&1 3>&- &
    if [[ $1 == precopy ]]; then
        wait_for 20 "pre-copy" moving precopy
        sleep 1
        return
    fi
    wait_for 40 "drain" moving drain
    [[ $1 == switchover ]] || return 0
    qemu STOP "$TO"
    rank CONT
    wait_for 20 "switch-over" moving switchover
}

strike() {
    case $1 in
        'the source VMM') qemu KILL "$FROM" ;;
        'the target VMM') qemu KILL "$TO" ;;
        'the source bridge') kill_bridge "$FROM" && start_bridge "$FROM" ;;
        'the target bridge') kill_bridge "$TO" && start_bridge "$TO" ;;
        'the coordinator') kill_coordinator && start_coordinator ;;
        'the way to the target') cut_host "$TO" ;;
    esac
}

# case PHASE VICTIM
case_of() {
    local phase=$1 victim=$2 where what state
    enter "$phase"
    strike "$victim"
    [[ $phase != drain ]] || rank CONT
    [[ $phase != switchover ]] || qemu CONT "$TO" 2>/dev/null || true
    if [[ $victim == 'the way to the target' ]]; then
        sleep 8
        mend_host "$TO"
        wait_for 60 "host $TO" connected "$TO"
    fi
    wait || true
    if [[ $victim == 'the source VMM' ]]; then
        wait_for 90 "no copy of $GUEST" no_copy
        where="none runs; restored"
        in_ctl grlctl restore "$JOB"
    else
        wait_for 90 "one copy of $GUEST" one_copy
        where="runs on the $([[ $(host_of "$GUEST") == "$TO" ]] && echo target || echo source)"
    fi
    one_copy
    wait_for 90 "job $JOB to be ready" job_ready "$JOB"
    what=$(grl history 1 | jq -r '.moves[0].line | .phase + (if .reason == "" then "" else ": " + .reason end)')
    in_ctl grlctl rehearse "$JOB"
    state=$(job_state "$JOB")
    echo "| $phase | $victim | $where | $what | $state |" >>"$BATS_FILE_TMPDIR/rows"
    [[ $state == RUNNING ]]
    no_leftovers
}

# Of the guest: on the hosts that do not run it neither process nor tap nor file but its logs.
no_leftovers() {
    local host
    for host in "${HOSTS[@]}"; do
        [[ $host != "$(host_of "$GUEST")" ]] || continue
        wait_for 20 "$host without $GUEST" eval "[[ ! -e $LAB/$host/run/$GUEST.pid && ! -e $LAB/$host/run/$GUEST.moving ]]"
        in_host "$host" sh -c '! ip link show "tap-$0" 2>/dev/null' "$GUEST"
    done
}

victims() {
    local victim
    for victim in 'the target VMM' 'the source bridge' 'the target bridge' 'the coordinator' 'the way to the target' 'the source VMM'; do
        case_of "$1" "$victim"
    done
}

@test "while the memory goes over" { victims precopy; }
@test "while the job is being drained" { victims drain; }
@test "in the switch-over" { victims switchover; }

@test "to a host without room" {
    local from to
    from=$(host_of "$GUEST")
    to=$([[ $from == h4 ]] && echo h2 || echo h4)
    kill_bridge "$to" && HOST_MIB=100 start_bridge "$to"
    wait_for 60 "host $to" connected "$to"
    run in_ctl grlctl migrate "$GUEST" "$to"
    echo "$output"
    ((status != 0))
    echo "| before | room on the target | runs on the source | $output | $(job_state "$JOB") |" >>"$BATS_FILE_TMPDIR/rows"
    kill_bridge "$to" && start_bridge "$to"
    wait_for 60 "host $to" connected "$to"
    one_copy
    [[ $output == *"no host can take guest $GUEST"*"MiB free"* ]]
}

@test "of a guest that writes faster than the stream carries" {
    local to
    to=$([[ $(host_of "$GUEST") == h4 ]] && echo h2 || echo h4)
    guest_sh "$GUEST" 'while :; do head -c 60m /dev/zero | tr "\0" x >/run/written; done >/dev/null 2>&1 & echo $! >/run/writer'
    run in_ctl grlctl migrate "$GUEST" "$to"
    echo "$output"
    guest_sh "$GUEST" 'kill $(cat /run/writer); rm -f /run/written'
    one_copy
    echo "| pre-copy | it writes 60 MiB again and again at 20 MiB/s | runs on the $([[ $(host_of "$GUEST") == "$to" ]] && echo target || echo source)" \
        "| $(grl history 1 | jq -r '.moves[0] | "\(.line.phase), \(.sent_bytes / 1048576 | round) MiB in \(.total_ms | round) ms, still for \(.line.phases | map(select(.phase == "switchover").ms) | add | round) ms"')" \
        "| $(job_state "$JOB") |" >>"$BATS_FILE_TMPDIR/rows"
    job_runs "$JOB"
    no_leftovers
}

@test "the job ends with its right result" {
    wait_for 900 "end of job $JOB" job_ended "$JOB"
    right_result "$JOB"
}
