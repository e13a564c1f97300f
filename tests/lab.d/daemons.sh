# shellcheck shell=bash
# Starting a daemon in one of the lab's machines and knowing when it serves.

# start_daemon SPACE NAME CMD...: record $LAB/SPACE/NAME.pid, log $LAB/SPACE/NAME.log
start_daemon() {
    local space=$1 name=$2
    shift 2
    in_machine "$space" "$LAB_D/process" spawn "$LAB/$space/$name.pid" "$LAB/$space/$name.log" "$@"
}

daemon_alive() { in_machine "$1" "$LAB_D/process" alive "$LAB/$1/$2.pid"; }
kill_daemon() { in_machine "$1" "$LAB_D/process" kill "$LAB/$1/$2.pid"; }

# start_ready_daemon SPACE NAME CMD...: until its log says that it is ready.
start_ready_daemon() {
    local log=$LAB/$1/$2.log
    : >"$log"
    start_daemon "$@" || return 1
    wait_for 20 "'ready' of $2 on $1 (log: $log)" daemon_settled "$1" "$2" || return 1
    daemon_says_ready "$log" || {
        complain "$2 on $1 ended: $(tail -n 1 "$log") (log: $log)"
        return 1
    }
}

daemon_says_ready() { grep -qw ready "$1"; }
daemon_settled() { daemon_says_ready "$LAB/$1/$2.log" || ! daemon_alive "$1" "$2"; }

# start_munged SPACE KEY SOCKET_NAME
start_munged() {
    local space=$1 key=$2 socket=/run/munge/$3
    in_machine "$space" mkdir -p /run/munge
    start_daemon "$space" "munged-$key" munged --foreground --num-threads=2 --key-file="$LAB/keys/$key" \
        --socket="$socket" --pid-file="/run/munge/$key.pid" --seed-file="/run/munge/$key.seed"
    wait_for 10 "munged for $key on $space (log: $LAB/$space/munged-$key.log)" \
        in_machine "$space" munge --no-input --socket="$socket" --output=/dev/null
}
