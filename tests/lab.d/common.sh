# shellcheck shell=bash
# Paths, messages, deadlines and process records that every module of the lab uses.
# shellcheck disable=SC2034 # most of these are for other modules

LAB=${GRL_LAB_DIR:-/var/tmp/grl-lab}
LAB_D=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SOURCE=$(cd "$LAB_D/../.." && pwd)
BUILD=$LAB/build
STAGE=$LAB/stage
LIBDIR=/usr/lib/x86_64-linux-gnu

VMM=${GRL_LAB_VMM:-qemu} # of the hosts; vmm_qemu.sh and vmm_xen.sh tell what differs
MANAGEMENT=10.80.0    # hosts and control
CLUSTER=10.77.0       # guests and control
COORDINATOR=$CLUSTER.1:7410
COORDINATOR_HOSTS=$MANAGEMENT.1:7411

# Whatever the lab writes is below this directory; it must not be one that holds something else.
lab_directory() {
    [[ $LAB == /* ]] || die "GRL_LAB_DIR must be an absolute path (it is '$LAB')"
    (umask 022 && mkdir -p "$LAB")
    # Its files are run and trusted by root, and another user may have prepared the name.
    [[ -d $LAB && ! -L $LAB && -O $LAB && $((0$(stat -c %a "$LAB") & 022)) == 0 ]] ||
        die "$LAB must be a directory of root's that nobody else can write (set GRL_LAB_DIR)"
    [[ -e $LAB/.grl-lab || -z $(ls -A "$LAB") ]] || die "$LAB is not the lab's and not empty (set GRL_LAB_DIR to another)"
    touch "$LAB/.grl-lab"
}

say() { printf 'lab: %s\n' "$*" >&2; }
complain() { printf 'lab: error: %s\n' "$*" >&2; }
die() { complain "$@"; exit 1; }

now_ms() { echo $((${EPOCHREALTIME//[!0-9]/} / 1000)); }

# number_of h3, number_of g3: 3
number_of() { echo "${1#?}"; }
management_address() { echo "$MANAGEMENT.1$(number_of "$1")"; }
cluster_address() { echo "$CLUSTER.1$(number_of "$1")"; }

# wait_for DEADLINE_S DESCRIPTION CMD...: until CMD succeeds; 1 and a message when it has not by then. A VMM may take longer.
wait_for() {
    local seconds=$(($1 * ${VMM_PATIENCE:-1})) what=$2 end
    shift 2
    end=$(($(now_ms) + seconds * 1000))
    until "$@"; do
        if (($(now_ms) >= end)); then
            complain "$what: not within $seconds s"
            return 1
        fi
        sleep 0.05
    done
}

# together FUNCTION NAME...: with each name, all at the same time; fails when one has failed, after all have ended.
together() {
    local function=$1 name failed=0
    local -a asked=()
    shift
    for name; do
        "$function" "$name" &
        asked+=($!)
    done
    for name in "${asked[@]}"; do wait "$name" || failed=1; done
    return "$failed"
}

# A process record is one line: pid, start time and boot id. The pid alone may have been given to another process.
record_self() {
    local line
    IFS= read -r line </proc/self/stat
    local -a field
    read -r -a field <<<"${line##*) }"
    printf '%s %s %s\n' "${line%% *}" "${field[19]}" "$(</proc/sys/kernel/random/boot_id)"
}

# recorded_pid RECORD: prints the pid if that very process still runs.
recorded_pid() {
    local pid start boot line
    local -a field
    [[ -s $1 ]] || return 1
    read -r pid start boot <"$1"
    [[ $boot == "$(</proc/sys/kernel/random/boot_id)" ]] || return 1
    { IFS= read -r line <"/proc/$pid/stat"; } 2>/dev/null || return 1
    read -r -a field <<<"${line##*) }"
    [[ ${field[0]} != Z && ${field[19]} == "$start" ]] || return 1
    echo "$pid"
}

recorded_alive() { recorded_pid "$1" >/dev/null; }
recorded_dead() { ! recorded_alive "$1"; }

# kill_recorded RECORD: kills it if it runs, and returns when it is gone.
kill_recorded() {
    local pid
    if pid=$(recorded_pid "$1"); then
        kill -9 "$pid" 2>/dev/null || true
        wait_for 20 "end of process $pid ($1)" recorded_dead "$1" || return 1
    fi
    rm -f "$1"
}
