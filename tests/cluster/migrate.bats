# Guests go from host to host while their job runs, and it ends with its right result.
# shellcheck shell=bash disable=SC2154

load ../lab.d/bats

setup_file() {
    lab_if_needed
    job_for_file
}

host_of() { grl status | jq -r ".hosts[] | select(.guests[] | .name == \"$1\" and .state == \"running\") | .host"; }
empty() { [[ $(grl status | jq ".hosts[] | select(.host == \"$1\") | .guests | length") == 0 ]]; }
# one_copy GUEST: exactly one host has anything of it, and there it runs.
one_copy() {
    [[ $(grl status | jq -c "[.hosts[].guests[] | select(.name == \"$1\") | .state]") == '["running"]' ]]
}
no_node_is_down() { ! in_ctl sinfo -h -N -p guests -o %T | grep -q down; }

@test "every guest goes round the hosts, in the silence of its job" {
    local guest moves=0
    for guest in "${GUESTS[@]}" "${GUESTS[@]}"; do
        run in_ctl grlctl migrate "$guest"
        echo "$output"
        ((status == 0))
        [[ $output == *"runs on "* ]]
        one_copy "$guest"
        moves=$((moves + 1))
    done
    no_node_is_down
    in_ctl grlctl history "$moves"
    (($(grl history "$moves" | jq '[.moves[] | select(.line.phase == "done")] | length') == moves))
    (($(grl history "$moves" | jq '[.moves[] | select(.drained)] | length') > 0))
    in_ctl grlctl checkpoint "$JOB"
}

@test "a guest's node that is drained for us moves, and is resumed" {
    local from
    from=$(host_of g2)
    in_ctl scontrol update NodeName=g2 State=DRAIN Reason="grl migrate"
    wait_for 60 "node g2 in service again" eval '! node_is_drained g2'
    [[ $(host_of g2) != "$from" ]]
    in_ctl scontrol -o show node g2 | grep -q "Comment=host=$(host_of g2)"
    no_node_is_down
    job_runs "$JOB"
}

@test "a host that is drained is emptied, serviced and taken back" {
    local host
    host=$(host_of g1)
    in_ctl scontrol update NodeName="$host" State=DRAIN Reason="new fan"
    wait_for 120 "word that $host is empty" eval "in_ctl scontrol -o show node $host | grep -q 'new fan; grl: .*moved'"
    empty "$host"
    kill_host "$host"
    job_runs "$JOB"
    revive_host "$host"
    wait_for 30 "host $host" eval "grl status | jq -e '.hosts[] | select(.host == \"$host\") | .connected'"
    fails_with "" in_ctl grlctl reopen h9
    in_ctl scontrol update NodeName="$host" State=RESUME
    wait_for 30 "$host open again" eval "in_ctl grlctl migrate g1 $host"
    no_node_is_down
    cancel_job "$JOB"
}

@test "a bridge or a coordinator that dies in mid-move leaves one copy, and the job is right" {
    local job victim from to guest=${GUESTS[-1]}
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 20000")
    wait_ready "$job"
    for victim in source target coordinator; do
        from=$(host_of "$guest")
        to=$([[ $from == "${HOSTS[-1]}" ]] && echo "${HOSTS[-2]}" || echo "${HOSTS[-1]}")
        in_ctl grlctl migrate "$guest" "$to" >"$BATS_TEST_TMPDIR/migrate" 2>&1 3>&- &
        wait_for 20 "a move of $guest" eval "grl status | jq -e '.hosts[].guests[] | select(.name == \"$guest\" and .state == \"arriving\")'"
        case $victim in
            source) kill_bridge "$from" && start_bridge "$from" ;;
            target) kill_bridge "$to" && start_bridge "$to" ;;
            coordinator) kill_coordinator && start_coordinator ;;
        esac
        wait || true
        echo "$victim: $(cat "$BATS_TEST_TMPDIR/migrate")"
        wait_for 60 "one copy of $guest after the death of the $victim" one_copy "$guest"
        echo "$victim: it runs on $(host_of "$guest")"
    done
    no_node_is_down
    right_result "$job"
}
