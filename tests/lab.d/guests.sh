# shellcheck shell=bash
# Guests: started by the bridges; a way into them for the lab, from the control host alone.

# The host that a guest has at first: g1 on h1 and so on.
first_host() { echo "h$(number_of "$1")"; }

start_guest() { in_ctl grlctl start "$1" "${2:-$(first_host "$1")}"; }

start_guests() {
    local guest
    together start_guest "${GUESTS[@]}"
    ! nodes_are_native || for guest in "${GUESTS[@]}"; do start_native "$guest"; done
    wait_for 120 "registration of ${GUESTS[*]} with slurmctld (consoles: $LAB/h*/run/*g*.log)" nodes_idle
}

# guest_host GUEST: prints the host that runs it.
guest_host() {
    local host
    for host in "${HOSTS[@]}"; do
        ! host_is_on "$host" || ! guest_runs_on "$1" "$host" || { echo "$host"; return; }
    done
    return 1
}

# guest_sh GUEST COMMAND...: runs the words, joined by blanks, as a shell command in the guest as root; prints its output,
# errors included, and returns its exit code (124: no answer in GUEST_SH_S seconds). A command that stays in the
# background must not keep the output open.
guest_sh() { guest_send "$@" </dev/null; }

# guest_put GUEST PATH: writes standard input to a file in the guest.
guest_put() { guest_send "$1" "cat >'$2'"; }

guest_send() {
    local guest=$1
    shift
    machine_send "$guest" "$(cluster_address "$guest")" "${GUEST_SH_S:-$((30 * VMM_PATIENCE))}" "$*"
}

# machine_send NAME ADDRESS SECONDS COMMAND <INPUT, to where guest-listen serves.
# socat's -t: how long it waits for the answer after the end of its input; by itself half a second.
machine_send() {
    local answer
    answer=$({ printf '%s\0' "$4"; cat; } | in_ctl timeout "$3" \
        socat -t "$3" - "TCP:$2:2323,connect-timeout=5" 2>/dev/null) || true
    [[ $answer == *$'\nrc='* ]] || {
        complain "no answer from $1 to '$4'"
        return 124
    }
    printf '%s' "${answer%$'\n'rc=*}"
    return "${answer##*$'\nrc='}"
}

guest_login() { machine_terminal "$(cluster_address "$1")"; }

# An interactive shell at ADDRESS.
machine_terminal() {
    local here=STDIO
    [[ ! -t 0 ]] || here=STDIO,raw,echo=0,escape=0x1d
    in_ctl socat "$here" "TCP:$1:2324,connect-timeout=5"
}
