# shellcheck shell=bash
# Slurm's configuration, the same file for control host and guests, and what tests ask of Slurm.

slurm_conf() {
    cat <<-E
	ClusterName=lab
	SlurmctldHost=ctl($CLUSTER.1)
	SlurmUser=root
	SlurmdUser=root
	AuthType=auth/munge
	CredType=cred/munge
	StateSaveLocation=$LAB/ctl/state
	SlurmctldPidFile=/run/slurmctld.pid
	SlurmctldLogFile=$LAB/ctl/log/slurmctld.log
	SlurmctldDebug=verbose
	SlurmdSpoolDir=/var/spool/slurmd
	SlurmdPidFile=/run/slurmd.pid
	SlurmdLogFile=/var/log/slurmd.log
	SlurmdDebug=verbose
	DebugFlags=NO_CONF_HASH
	ProctrackType=proctrack/linuxproc
	TaskPlugin=task/none
	JobAcctGatherType=jobacct_gather/none
	SwitchType=switch/none
	SelectType=select/cons_tres
	SelectTypeParameters=CR_Core
	SlurmdParameters=config_overrides
	MpiDefault=pmix
	MpiParams=ports=12000-12999
	TreeWidth=50
	ReturnToService=2
	# Longer than the longest outage that a job is to survive.
	SlurmdTimeout=300
	MessageTimeout=10
	TCPTimeout=5
	BatchStartTimeout=60
	KillWait=5
	InactiveLimit=0
	MinJobAge=3600
	$(slurm_nodes)
	PartitionName=guests Nodes=$(IFS=,; echo "${GUESTS[*]}") Default=YES MaxTime=INFINITE State=UP OverSubscribe=EXCLUSIVE
	PartitionName=shared Nodes=$(IFS=,; echo "${GUESTS[*]}") MaxTime=INFINITE State=UP OverSubscribe=YES:4
	PartitionName=hosts Nodes=$(IFS=,; echo "${HOSTS[*]}") MaxTime=INFINITE State=DOWN
	E
}

# More processors than the guest has, so that several ranks of a test fit on a node.
slurm_nodes() {
    local guest host
    for guest in "${GUESTS[@]}"; do
        echo "NodeName=$guest NodeAddr=$(cluster_address "$guest") CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4" \
            "ThreadsPerCore=1 RealMemory=$((GUEST_MIB - 56)) State=UNKNOWN"
    done
    # No job runs on a host, and no slurmd: it is a node so that an operator can drain it.
    for host in "${HOSTS[@]}"; do echo "NodeName=$host NodeAddr=$CLUSTER.1 Port=6899 CPUs=1 State=DOWN"; done
}

# plugstack_line ROOT [ARGUMENT...]: of the plugin that is installed below ROOT.
plugstack_line() {
    local root=$1
    shift
    echo "required $root$LIBDIR/grl/spank_grl.so coordinator=$COORDINATOR master=$root/usr/libexec/grl/grl-master" "$@"
}

# plugstack ARGUMENT...: sets the plugin's further arguments on the control host and in the guests, until the next `up`.
plugstack() {
    local guest
    plugstack_line "$STAGE" "$@" >"$LAB/ctl/slurm/plugstack.conf"
    for guest in "${GUESTS[@]}"; do
        plugstack_line "" "$@" | guest_put "$guest" /etc/slurm/plugstack.conf
    done
}

start_slurmctld() {
    mkdir -p "$LAB/ctl/state" "$LAB/ctl/log"
    in_ctl "$LAB_D/process" spawn "$LAB/ctl/slurmctld.pid" "$LAB/ctl/log/slurmctld.out" slurmctld -D
    wait_for 15 "slurmctld (log: $LAB/ctl/log/slurmctld.log)" in_ctl scontrol ping >/dev/null
}

node_is_drained() { [[ $(in_ctl sinfo -h -N -n "$1" -o %T) == *drain* ]]; }

nodes_idle() {
    [[ $(in_ctl sinfo -h -N -p guests -o %T | grep -c '^idle$') == "${#GUESTS[@]}" ]]
}

# submit SBATCH_ARGUMENT... <SCRIPT: as the ordinary user; prints the job's number.
submit() { as_user sbatch --parsable "$@"; }

job_state() { in_ctl squeue -h -t all -j "$1" -o %T 2>/dev/null; }
job_field() { in_ctl scontrol -o show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"; }

job_runs() { [[ $(job_state "$1") == RUNNING ]]; }
# Where Slurm says nothing, as it may under load, nothing is known.
job_started() { [[ $(job_state "$1") != @(|PENDING|CONFIGURING) ]]; }
job_ended() { [[ $(job_state "$1") != @(|PENDING|CONFIGURING|RUNNING|COMPLETING|SUSPENDED) ]]; }
