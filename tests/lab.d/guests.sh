# shellcheck shell=bash
# Guests: started by the bridges; a way into them for the lab, from the control host alone.

# The host that a guest has at first: g1 on h1 and so on.
first_host() { echo "h$(number_of "$1")"; }

start_guest() { in_ctl grlctl start "$1" "${2:-$(first_host "$1")}"; }

start_guests() {
    local guest
    for guest in "${GUESTS[@]}"; do start_guest "$guest"; done
    ! nodes_are_native || for guest in "${GUESTS[@]}"; do start_native "$guest"; done
    wait_for 120 "registration of ${GUESTS[*]} with slurmctld (consoles: $LAB/h*/run/g*.console.log)" nodes_idle
}

# guest_host GUEST: prints the host that runs it.
guest_host() {
    local host
    for host in "${HOSTS[@]}"; do
        [[ ! -s $LAB/$host/run/$1.pid ]] || ! guest_runs_on "$1" "$host" || { echo "$host"; return; }
    done
    return 1
}

guest_runs_on() {
    # shellcheck disable=SC2016
    host_is_on "$2" && in_host "$2" sh -c 'read -r pid <"$1" && tr "\0" " " <"/proc/$pid/cmdline" | grep -q -- "-name $2"' \
        - "$LAB/$2/run/$1.pid" "$1" 2>/dev/null
}

# kill_guest GUEST: its QEMU dies; the host and its bridge live.
kill_guest() {
    local host
    host=$(guest_host "$1") || die "kill_guest: no host runs $1"
    # shellcheck disable=SC2016
    in_host "$host" sh -c 'kill -9 "$(cat "$1")"' - "$LAB/$host/run/$1.pid"
}

# guest_sh GUEST COMMAND...: runs the words, joined by blanks, as a shell command in the guest as root; prints its output,
# errors included, and returns its exit code (124: no answer in GUEST_SH_S seconds). A command that stays in the
# background must not keep the output open.
guest_sh() { guest_send "$@" </dev/null; }

# guest_put GUEST PATH: writes standard input to a file in the guest.
guest_put() { guest_send "$1" "cat >'$2'"; }

# socat's -t: how long it waits for the answer after the end of its input; by itself half a second.
guest_send() {
    local guest=$1 limit=${GUEST_SH_S:-30} answer
    shift
    answer=$({ printf '%s\0' "$*"; cat; } | in_ctl timeout "$limit" \
        socat -t "$limit" - "TCP:$(cluster_address "$guest"):2323,connect-timeout=5" 2>/dev/null) || true
    [[ $answer == *$'\nrc='* ]] || {
        complain "guest_sh: no answer from $guest to '$*'"
        return 124
    }
    printf '%s' "${answer%$'\n'rc=*}"
    return "${answer##*$'\nrc='}"
}

guest_login() {
    local here=STDIO
    [[ ! -t 0 ]] || here=STDIO,raw,echo=0,escape=0x1d
    in_ctl socat "$here" "TCP:$(cluster_address "$1"):2324,connect-timeout=5"
}
