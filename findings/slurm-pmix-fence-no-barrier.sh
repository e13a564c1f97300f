#!/bin/bash
# One would guess: PMIx_Fence over all ranks of a step returns when all have called it.
#
# What happens (run 2026-12-01): under Slurm 22.05.8 with PMIx 4.2.2 (Debian 12), two nodes and the
# default settings, a fence without PMIX_COLLECT_DATA returns at once on a node whose own ranks have
# all come, while a rank of the other node is still seconds away. With PMIX_COLLECT_DATA it waits,
# and with SLURM_PMIX_FENCE=ring it waits with and without.
#
# Output seen (rank 0 comes 2 s late; how long rank 1, on the other node, stood in the fence):
#     default: plain fence 0.0 s, collecting fence 2.0 s
#     ring:    plain fence 2.0 s, collecting fence 2.0 s
#
# What it means: who needs a barrier through PMIx asks for PMIX_COLLECT_DATA, and a plugin or a
# prolog that may set the step's environment sets SLURM_PMIX_FENCE=ring.
#
# Takes one to two minutes. Needs root, unshare, mmdebstrap, Debian's archive.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
slurm=22.05.8-4+deb12u3
pmix=4.2.2-1+deb12u1

skip() { echo "SKIP: $*"; exit 77; }
command -v mmdebstrap >/dev/null || skip "no mmdebstrap"
[ "$(id -u)" = 0 ] || skip "not root"

root=$work/root
nice mmdebstrap --quiet --variant=extract \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
    --include="slurmd=$slurm,slurmctld=$slurm,slurm-client=$slurm,libpmix-dev=$pmix" \
    --include="munge=0.5.15-2+deb12u1,gcc,dash,coreutils" \
    bookworm "$root" http://deb.debian.org/debian 2>"$work/log" || {
    tail -n 3 "$work/log"
    skip "Slurm $slurm and PMIx $pmix cannot be had"
}
for d in bin sbin lib lib64; do
    [ -e "$root/$d" ] || ln -s "usr/$d" "$root/$d"
done
for b in slurmctld slurmd slurmstepd; do
    [ -e "$root/usr/sbin/$b" ] || ln -s $b-wlm "$root/usr/sbin/$b"
done
mkdir -p "$root"/{dev,proc,sys,tmp,run,root,etc/slurm}
echo root:x:0:0:root:/root:/bin/sh >"$root/etc/passwd"
echo root:x:0: >"$root/etc/group"
printf '%s\n' "127.0.0.1 localhost" "10.9.8.7 node" >"$root/etc/hosts"
echo CgroupPlugin=cgroup/v1 >"$root/etc/slurm/cgroup.conf"
cat >"$root/etc/slurm/slurm.conf" <<'C'
ClusterName=two
SlurmctldHost=node(10.9.8.7)
SlurmUser=root
StateSaveLocation=/run/s/ctld
SlurmdSpoolDir=/run/s/spool.%n
SlurmdPidFile=/run/s/slurmd.%n.pid
SlurmctldPidFile=/run/s/slurmctld.pid
SlurmctldLogFile=/run/s/slurmctld.log
SlurmdLogFile=/run/s/slurmd.%n.log
TmpFS=/run/s/tmp.%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=node NodeAddr=10.9.8.7 Port=17001 CPUs=4 RealMemory=100
NodeName=n2 NodeHostname=node NodeAddr=10.9.8.7 Port=17002 CPUs=4 RealMemory=100
PartitionName=p Nodes=n1,n2 Default=YES State=UP
C
cat >"$root/root/fence.c" <<'C'
#include <pmix.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { kLate = 2 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

int main(void) {
    pmix_proc_t me, all;
    pmix_info_t collect;
    bool yes = true;
    double stood[2];
    if (PMIx_Init(&me, NULL, 0)) return 1;
    PMIX_LOAD_PROCID(&all, me.nspace, PMIX_RANK_WILDCARD);
    PMIX_INFO_LOAD(&collect, PMIX_COLLECT_DATA, &yes, PMIX_BOOL);
    for (int i = 0; i < 2; i++) {
        if (PMIx_Fence(&all, 1, &collect, 1)) return 1;
        if (me.rank == 0) sleep(kLate);
        double begun = now();
        if (PMIx_Fence(&all, 1, i ? &collect : NULL, i)) return 1;
        stood[i] = now() - begun;
    }
    if (me.rank == 1) printf("%.1f %.1f\n", stood[0], stood[1]);
    PMIx_Fence(&all, 1, &collect, 1);
    return PMIx_Finalize(NULL, 0);
}
C

# A network with nothing else in it (an address besides loopback's, or Slurm resolves none), and
# processes that are gone when it is over.
cat >"$work/inside.sh" <<'S'
set -e
root=$1
hostname node
ip link set lo up
ip link add lan type bridge
ip address add 10.9.8.7/24 dev lan
ip link set lan up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/munge" "$root/run/s/ctld" "$root/run/s/tmp.n1" "$root/run/s/tmp.n2"
head -c 128 /dev/urandom >"$root/run/s/key"
chmod 600 "$root/run/s/key"
cd /
in="chroot $root"
l=/usr/lib/x86_64-linux-gnu/pmix2
$in gcc-12 /root/fence.c -o /root/fence -I$l/include -L$l/lib -lpmix
$in munged --force --key-file=/run/s/key --pid-file=/run/s/munged.pid \
    --log-file=/run/s/munged.log --seed-file=/run/s/seed >/dev/null 2>&1
$in slurmctld
$in slurmd -N n1
$in slurmd -N n2
for _ in $(seq 120); do
    [ "$($in sinfo -h -t idle -o %D 2>/dev/null)" = 2 ] && break
    sleep 0.5
done
$in srun --mpi=pmix -N2 -n2 /root/fence >"$root/default"
SLURM_PMIX_FENCE=ring $in srun --mpi=pmix -N2 -n2 /root/fence >"$root/ring"
S
timeout -s KILL 300 unshare --net --mount --pid --kill-child --fork --uts --ipc \
    sh "$work/inside.sh" "$root" >"$work/log" 2>&1 </dev/null || { cat "$work/log"; exit 1; }

read -r d_plain d_collect <"$root/default"
read -r r_plain r_collect <"$root/ring"
echo "Slurm ${slurm%-*}, rank 0 two seconds late, rank 1 on the other node stood:"
echo "default: plain fence $d_plain s, collecting fence $d_collect s"
echo "ring:    plain fence $r_plain s, collecting fence $r_collect s"
waits() { awk "BEGIN { exit !($1 >= 1.0) }"; }
if waits "$d_plain"; then echo "CHANGED: the default plain fence is a barrier"; exit 1; fi
for t in "$d_collect" "$r_plain" "$r_collect"; do
    waits "$t" || { echo "CHANGED: a fence that was a barrier is none"; exit 1; }
done
echo "as described: no barrier without PMIX_COLLECT_DATA or the ring"
