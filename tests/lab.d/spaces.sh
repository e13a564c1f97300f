# shellcheck shell=bash
# Namespaces. One process holds the lab's own PID and mount namespace; whatever runs in the lab runs below it and ends
# with it. Inside are the control host (its own network, mounts, hostname) and the hosts (these and PIDs, so that a host
# dies as a whole). Pids in records below the lab are those that its inside shows: never kill them from outside.

LAB_RECORD=$LAB/lab.pid

lab_is_up() { recorded_alive "$LAB_RECORD"; }

open_lab() {
    mkdir -p "$LAB/log"
    setsid "$LAB_D/process" detach unshare --mount --pid --fork --propagation private "$LAB_D/process" keep "$LAB_RECORD" \
        </dev/null >"$LAB/log/lab.log" 2>&1 &
    wait_for 5 "namespaces of the lab (log: $LAB/log/lab.log)" lab_is_up
    in_lab mount -t tmpfs -o mode=755 run /run
    in_lab mkdir /run/netns
}

close_lab() { kill_recorded "$LAB_RECORD"; }

# open_space NAME [UNSHARE_OPTION...]: a machine of the lab. Its network namespace is grl-NAME and there already.
open_space() {
    local name=$1
    shift
    mkdir -p "$LAB/$name"
    rm -f "$LAB/$name/space.pid"
    # shellcheck disable=SC2016
    in_lab bash -c 'log=$1; shift; setsid "$@" </dev/null >"$log" 2>&1 &' - "$LAB/log/$name.log" \
        "$LAB_D/process" detach nsenter --net="/run/netns/grl-$name" unshare --mount --uts --propagation private "$@" \
        "$LAB_D/process" keep "$LAB/$name/space.pid"
    wait_for 5 "namespaces of $name (log: $LAB/log/$name.log)" test -s "$LAB/$name/space.pid"
    in_space "$name" hostname "$name"
    in_space "$name" mount -t tmpfs -o mode=755 run /run
    # As `ip netns exec` does: /sys shows the network of whoever mounted it.
    in_space "$name" mount -t sysfs sysfs /sys
}

# The fence program runs inside already.
in_lab() {
    if [[ -n ${GRL_LAB_INSIDE:-} ]]; then
        "$@"
    else
        "$LAB_D/process" enter "$LAB_RECORD" "$@"
    fi
}

in_space() {
    local name=$1
    shift
    in_lab "$LAB_D/process" enter "$LAB/$name/space.pid" \
        env PATH="$STAGE/usr/bin:$STAGE/usr/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" "$@"
}

# in_ctl CMD..., in_host HOST CMD... (the VMM's), in_machine ctl|HOST|GUEST CMD...: as root there; a guest's is a native node.
in_ctl() { in_space ctl GRL_COORDINATOR="$COORDINATOR" "$@"; }
in_machine() {
    if is_host "$1"; then
        in_host "$@"
    elif [[ $1 == ctl ]]; then
        in_ctl "${@:2}"
    else
        in_space "$@"
    fi
}
is_host() { [[ " ${HOSTS[*]} " == *" $1 "* ]]; }

# as_user CMD...: on the control host as the ordinary user, with an environment of its own.
as_user() {
    in_ctl setpriv --reuid=1000 --regid=1000 --clear-groups --reset-env \
        env -C /tmp GRL_COORDINATOR="$COORDINATOR" PATH="/usr/bin:/bin:$STAGE/usr/bin" "$@"
}
