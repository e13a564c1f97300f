#!/bin/bash
# One would guess: PMIx_Init is counted, so a program (or a library or preload it uses) may call it
# before MPI_Init as well as after.
#
# What happens (run 2026-11-30): under Open MPI 5.0.7 with PMIx 5.0.7 (Debian 13) MPI_Init fails
# ("local rank --> Returned "Not found" (-13)", exit code 14), with mpirun and its prterun alike
# (srun was not tried here). It does so, too, in a program that was started alone,
# where the PMIx_Init before it had only said that it reaches no server (-25). A PMIx_Init that is
# followed by its PMIx_Finalize before MPI_Init does no harm; nor does any of it under Open MPI
# 4.1.4 with PMIx 4.2.2 (Debian 12) and mpirun.
#
# Output seen:
#     5.0.7 none             mpirun  exit 0
#     5.0.7 init             mpirun  exit 14: local rank --> Returned "Not found" (-13)
#     5.0.7 init             prterun exit 14: local rank --> Returned "Not found" (-13)
#     5.0.7 init             alone   exit 14: local rank --> Returned "Not found" (-13)
#     5.0.7 init+finalize    mpirun  exit 0
#     5.0.7 init+finalize    alone   exit 0
#     4.1.4 none             mpirun  exit 0
#     4.1.4 init             mpirun  exit 0
#
# What it means: a library that wants PMIx before the program has called MPI_Init must close it
# again before MPI_Init goes on (and may open it once more after), or wait for MPI_Init's return.
#
# Takes two minutes. Needs root, unshare, mmdebstrap, Debian's archive.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf --one-file-system "$work"' EXIT
mirror=http://deb.debian.org/debian
keys=/usr/share/keyrings/debian-archive-keyring.gpg

skip() { echo "SKIP: $*"; exit 77; }
command -v mmdebstrap >/dev/null || skip "no mmdebstrap"
[ "$(id -u)" = 0 ] || skip "not root"

root() { # suite mpi pmix
    nice mmdebstrap --quiet --variant=extract --keyring="$keys" \
        --include="openmpi-bin=$2,libopenmpi-dev=$2,libpmix-dev=$3,gcc,dash" \
        "$1" "$work/$1" "$mirror" 2>"$work/$1.log" || {
        tail -n 3 "$work/$1.log"
        skip "Open MPI $2 and PMIx $3 of $1 cannot be had"
    }
    for d in bin sbin lib lib64; do
        [ -e "$work/$1/$d" ] || ln -s "usr/$d" "$work/$1/$d"
    done
    mkdir -p "$work/$1"/{dev,proc,sys,tmp,root}
    cp "$work/early.c" "$work/$1/root/"
}

cat >"$work/early.c" <<'C'
#include <mpi.h>
#include <pmix.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char** argv) {
    const char* how = argc > 1 ? argv[1] : "none";
    pmix_proc_t me;
    if (strcmp(how, "none")) printf("PMIx_Init says %d\n", PMIx_Init(&me, NULL, 0));
    if (!strcmp(how, "init+finalize")) PMIx_Finalize(NULL, 0);
    MPI_Init(&argc, &argv);
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
    if (!strcmp(how, "init")) PMIx_Finalize(NULL, 0);
    return 0;
}
C

# Its own network with nothing but loopback, its own processes, gone when the command is.
inside() { # suite command...
    local suite=$1
    shift
    # shellcheck disable=SC2016
    timeout 120 unshare --net --mount --pid --kill-child --fork --ipc sh -ec '
        root=$1; shift
        ip link set lo up
        mount --rbind /dev "$root/dev"
        mount -t proc proc "$root/proc"
        mount -t sysfs sysfs "$root/sys"
        exec chroot "$root" "$@"' sh "$work/$suite" "$@"
}

try() { # suite version how launcher expected
    local run=() code=0 why
    case $4 in
        mpirun) run=(mpirun.openmpi --allow-run-as-root --oversubscribe -n 2) ;;
        prterun) run=(prterun --allow-run-as-root --map-by :OVERSUBSCRIBE -n 2) ;;
    esac
    inside "$1" "${run[@]}" /root/early "$3" 2>&1 | tr -d "\0" >"$work/out" || code=$?
    why=$(grep -A1 'local rank$' "$work/out" | grep -m1 -o 'Returned.*(-13)' || true)
    printf '%s %-16s %-7s exit %s%s\n' "$2" "$3" "$4" "$code" "${why:+: local rank --> $why}"
    [ "$code" = "$5" ] || { cat "$work/out"; echo "CHANGED: exit $code, not $5"; exit 1; }
    [ "$code" = 0 ] || [ -n "$why" ] || { cat "$work/out"; echo "CHANGED: why"; exit 1; }
}

build() {
    local lib=/usr/lib/x86_64-linux-gnu/pmix2
    inside "$1" mpicc.openmpi /root/early.c -o /root/early -I$lib/include -L$lib/lib -lpmix
}

root trixie 5.0.7-1 5.0.7-1
build trixie
try trixie 5.0.7 none mpirun 0
try trixie 5.0.7 init mpirun 14
try trixie 5.0.7 init prterun 14
try trixie 5.0.7 init alone 14
try trixie 5.0.7 init+finalize mpirun 0
try trixie 5.0.7 init+finalize alone 0
root bookworm 4.1.4-3+b1 4.2.2-1+deb12u1
build bookworm
try bookworm 4.1.4 none mpirun 0
try bookworm 4.1.4 init mpirun 0
echo "as described: Open MPI 5's MPI_Init fails after a PMIx_Init that was not finalized"
