# shellcheck shell=bash
# The hosts: each a bridge daemon with the hosts' MUNGE key and the checkpoint directory; the last one is the spare.

CHECKPOINTS=$LAB/checkpoints
CHECKPOINTS_MIB=${GRL_LAB_CHECKPOINTS_MIB:-4096}

# Stands for a parallel file system: hosts that start after this see it, and nobody else. Its size is a limit, not a cost.
open_checkpoints() {
    mkdir -p "$CHECKPOINTS"
    in_lab mount -t tmpfs -o "mode=700,size=${CHECKPOINTS_MIB}m" checkpoints "$CHECKPOINTS"
    # As grl-bridge --init-store does, but before any host is on.
    in_lab mkdir -m 700 "$CHECKPOINTS/lab"
    in_lab sh -c "echo '{\"id\":\"lab-store\"}' >'$CHECKPOINTS/lab/store.json'"
}

# resize_checkpoints MIB: on all hosts at once.
resize_checkpoints() { in_lab mount -o "remount,size=$1m" "$CHECKPOINTS"; }

# Switched on all at once, they boot beside each other.
power_on_hosts() {
    local host
    for host; do
        host_network "$host"
        switch_on_host "$host"
    done
    together start_host "$@"
}

start_host() {
    host_serves "$1"
    start_munged "$1" hosts munge.socket.2
    start_bridge "$1"
}

bridge_conf() {
    cat <<-E
	cluster = "lab"
	[bridge]
	host = "$1"
	coordinator = "$COORDINATOR_HOSTS"
	munge_socket = "/run/munge/munge.socket.2"
	guest_dir = "$LAB/guests"
	image_dir = "$CHECKPOINTS"
	adapters = [ $( ((ADAPTERS == 0)) || printf '"%s", ' "${VMM_ADAPTERS[@]}") ]
	$(vmm_bridge "$1")
	E
}

start_bridge() {
    mkdir -p "$LAB/$1/run" "$LAB/etc"
    bridge_conf "$1" >"$LAB/etc/$1.toml"
    start_ready_daemon "$1" grl-bridge "$VMM_GRL_BRIDGE" --config "$LAB/etc/$1.toml"
}

kill_bridge() { kill_daemon "$1" grl-bridge; }

host_is_on() { in_lab "$LAB_D/process" alive "$LAB/$1/space.pid"; }

# kill_host HOST: ends its bridge, its guests and all else that it runs, and returns when they are gone.
kill_host() { in_lab "$LAB_D/process" kill "$LAB/$1/space.pid"; }

# revive_host HOST: powers a killed host on again, with nothing left of what it ran.
revive_host() {
    ! host_is_on "$1" || die "revive_host: $1 is on"
    drop_host_network "$1"
    rm -rf "${LAB:?}/$1"
    power_on_hosts "$1"
}

# What the coordinator asks for before it restores a host's guests elsewhere.
fence() {
    local host
    for host in "${HOSTS[@]}"; do
        [[ $host != "${1:-}" ]] || { kill_host "$host"; return; }
    done
    die "fence: no host '${1:-}' (hosts: ${HOSTS[*]})"
}
