# shellcheck shell=bash
# Two switches in a namespace of their own: management (hosts and control) and cluster (guests and control).

open_network() {
    in_lab ip netns add grl-sw
    in_lab ip -n grl-sw -batch - <<-E
	link set lo up
	link add management type bridge stp_state 0 forward_delay 0
	link add cluster type bridge stp_state 0 forward_delay 0
	link set management up
	link set cluster up
	E
}

# plug NAME INTERFACE SWITCH: a cable NAME-SWITCH from a machine's interface to a switch.
plug() {
    in_lab ip -n grl-sw -batch - <<-E
	link add $1-$3 type veth peer name $2 netns grl-$1
	link set $1-$3 master $3 up
	E
}

ctl_network() {
    in_lab ip netns add grl-ctl
    plug ctl mgmt0 management
    plug ctl cluster0 cluster
    in_lab ip -n grl-ctl -batch - <<-E
	link set lo up
	addr add $MANAGEMENT.1/24 dev mgmt0
	link set mgmt0 up
	addr add $CLUSTER.1/24 dev cluster0
	link set cluster0 up
	E
}

# The cables go first: a namespace takes its time to end, and their names are wanted again.
drop_host_network() {
    in_lab ip -n grl-sw link del "$1-management"
    in_lab ip -n grl-sw link del "$1-cluster"
    in_lab ip netns del "grl-$1"
}

# cut_host HOST, mend_host HOST: pulls a host's two cables, or plugs them in. Nobody gets so much as a FIN.
cut_host() { host_cables "$1" down; }
mend_host() { host_cables "$1" up; }
host_cables() {
    in_lab ip -n grl-sw link set "$1-management" "$2"
    in_lab ip -n grl-sw link set "$1-cluster" "$2"
}
