#!/bin/bash
# One would guess: OMPI_MCA_osc is a wish. Naming a one-sided component that this Open MPI does not
# have, as the first of a list, falls through to the next one, or to the default with a warning.
#
# What happens (run 2026-11-30): with Open MPI 5.0.7 (Debian 13), which has no osc/pt2pt any more,
# MPI_Init fails for OMPI_MCA_osc=pt2pt and for pt2pt,sm alike ("A requested component was not
# found", exit code 14), even in a program without one-sided calls. Excluding it (^pt2pt) is taken
# without a word. Open MPI 4.1.4 (Debian 12), where pt2pt is needed between nodes, takes all three.
#
# Output seen:
#     5.0.7 osc=(unset)   exit 0
#     5.0.7 osc=pt2pt     exit 14: A requested component was not found
#     5.0.7 osc=pt2pt,sm  exit 14: A requested component was not found
#     5.0.7 osc=^pt2pt    exit 0
#     4.1.4 osc=(unset)   exit 0
#     4.1.4 osc=pt2pt     exit 0
#     4.1.4 osc=pt2pt,sm  exit 0
#     4.1.4 osc=^pt2pt    exit 0
#
# What it means: whoever sets OMPI_MCA_ variables for programs of others has to know the release
# they will be run with, and name only what is in every one, or exclude instead of naming.
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

root() { # suite mpi
    nice mmdebstrap --quiet --variant=extract --keyring="$keys" \
        --include="openmpi-bin=$2,libopenmpi-dev=$2,gcc,dash,coreutils" \
        "$1" "$work/$1" "$mirror" 2>"$work/$1.log" || {
        tail -n 3 "$work/$1.log"
        skip "Open MPI $2 of $1 cannot be had"
    }
    for d in bin sbin lib lib64; do
        [ -e "$work/$1/$d" ] || ln -s "usr/$d" "$work/$1/$d"
    done
    mkdir -p "$work/$1"/{dev,proc,sys,tmp,root}
    cp "$work/hello.c" "$work/$1/root/"
}

cat >"$work/hello.c" <<'C'
#include <mpi.h>

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    MPI_Barrier(MPI_COMM_WORLD);
    return MPI_Finalize();
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

try() { # suite version osc expected
    local code=0 why set=()
    [ "$3" = "(unset)" ] || set=("OMPI_MCA_osc=$3")
    inside "$1" env "${set[@]}" mpirun.openmpi --allow-run-as-root --oversubscribe -n 2 \
        /root/hello 2>&1 | tr -d '\0' >"$work/out" || code=$?
    why=$(grep -m1 -o 'A requested component was not found' "$work/out" || true)
    printf '%s osc=%-9s exit %s%s\n' "$2" "$3" "$code" "${why:+: $why}"
    [ "$code" = "$4" ] || { cat "$work/out"; echo "CHANGED: exit $code, not $4"; exit 1; }
    [ "$code" = 0 ] || [ -n "$why" ] || { cat "$work/out"; echo "CHANGED: why"; exit 1; }
}

root trixie 5.0.7-1
inside trixie mpicc.openmpi /root/hello.c -o /root/hello
try trixie 5.0.7 "(unset)" 0
try trixie 5.0.7 pt2pt 14
try trixie 5.0.7 pt2pt,sm 14
try trixie 5.0.7 ^pt2pt 0
root bookworm 4.1.4-3+b1
inside bookworm mpicc.openmpi /root/hello.c -o /root/hello
for osc in "(unset)" pt2pt pt2pt,sm ^pt2pt; do try bookworm 4.1.4 "$osc" 0; done
echo "as described: Open MPI 5 does not begin when an absent component is named"
