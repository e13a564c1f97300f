# shellcheck shell=bash
# The control host: accounts, MUNGE for both keys, slurmctld, the coordinator. It does not see the checkpoint directory.

open_control() {
    local etc=$LAB/ctl/etc file
    ctl_network
    open_space ctl
    mkdir -p "$etc" "$LAB/ctl/slurm" "$LAB/ctl/grl"
    users "$etc"
    for file in passwd group hosts nsswitch.conf; do in_ctl mount --bind "$etc/$file" "/etc/$file"; done
    slurm_conf >"$LAB/ctl/slurm/slurm.conf"
    [[ ! -f $STAGE$LIBDIR/grl/spank_grl.so ]] ||
        plugstack_line "$STAGE" >"$LAB/ctl/slurm/plugstack.conf"
    in_ctl mkdir -p /etc/slurm
    in_ctl mount --bind "$LAB/ctl/slurm" /etc/slurm
    start_munged ctl cluster munge.socket.2
    start_munged ctl hosts hosts.socket
    start_slurmctld
}

coordinator_conf() {
    cat <<-E
	cluster = "lab"
	[coordinator]
	listen_cluster = "$COORDINATOR"
	listen_hosts = "$COORDINATOR_HOSTS"
	munge_cluster = "/run/munge/munge.socket.2"
	munge_hosts = "/run/munge/hosts.socket"
	catalog = "$LAB/ctl/grl/catalog.db"
	fence_program = "$LAB/etc/fence"
	move_limit_mib_s = ${GRL_LAB_MOVE_LIMIT_MIB_S:-0}
	encrypt_moves = ${ENCRYPT_MOVES:-true}
	capture = "${GRL_LAB_CAPTURE:-auto}"
	$(vmm_coordinator)
	E
}

# The coordinator runs it with a host's name, so it starts inside the lab.
fence_program() {
    cat <<-E
	#!/bin/sh
	exec env GRL_LAB_INSIDE=1 GRL_LAB_VMM=$VMM GRL_LAB_DIR="$LAB" "$SOURCE/tests/lab" fence "\$1"
	E
}

start_coordinator() {
    mkdir -p "$LAB/etc"
    coordinator_conf >"$LAB/etc/coordinator.toml"
    fence_program >"$LAB/etc/fence"
    chmod 755 "$LAB/etc/fence"
    start_ready_daemon ctl grl-coordinator "$STAGE/usr/sbin/grl-coordinator" --config "$LAB/etc/coordinator.toml"
}

kill_coordinator() { kill_daemon ctl grl-coordinator; }

# Has the coordinator noticed? A machine that is switched off says nothing at its end.
host_is_missed() { grl status | jq -e ".hosts[] | select(.host == \"$1\") | .connected | not" >/dev/null; }

# May a line of the job be taken now?
job_ready() { [[ $(grl status | jq -r ".jobs[] | select(.job == $1) | .state") == ready ]]; }
wait_ready() { wait_for 90 "job $1 to be ready for a line" job_ready "$1"; }
cancel_job() {
    [[ -n $1 ]] || return 0 # never started
    in_ctl scancel "$1" 2>/dev/null || true
    wait_for 90 "end of job $1" job_ended "$1"
    wait_for 120 "idle nodes after job $1" nodes_idle
}
