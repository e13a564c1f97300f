# shellcheck shell=bash
# Native nodes (GRL_LAB_NODES=native): what a guest would run, from the same root directory, in namespaces and on this
# machine's own processors; the guest itself idles beside it. For what needs many drains or exact times and no images: a line of
# an idle guest can be taken but brings nothing back.

NODES=${GRL_LAB_NODES:-guests}
case $NODES in
    guests | native) ;;
    *) die "GRL_LAB_NODES must be guests or native (it is '$NODES')" ;;
esac

nodes_are_native() { [[ $NODES == native ]]; }

start_native() {
    local root=/run/root
    in_lab ip netns add "grl-$1"
    plug "$1" eth0 cluster
    open_space "$1" --pid --fork
    # shellcheck disable=SC2016
    in_space "$1" bash -euc '
        mkdir -p /run/upper/data /run/upper/work "$2"
        mount -t overlay -o "lowerdir=$1,upperdir=/run/upper/data,workdir=/run/upper/work" root "$2"
        mount -t proc proc "$2/proc"
        mount -t sysfs sysfs "$2/sys"
        mount -t tmpfs -o mode=755 dev "$2/dev"
        for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
            IFS=: read -r name major minor <<<"$node"
            mknod -m 666 "$2/dev/$name" c "$major" "$minor"
        done
        ln -s pts/ptmx "$2/dev/ptmx"
        ln -s /proc/self/fd "$2/dev/fd"
    ' - "$IMAGE/root" "$root"
    # Detached, for it leaves daemons behind.
    in_space "$1" "$LAB_D/process" detach "${NATIVE_ENTRY[@]}" /usr/sbin/guest-start "node=$1" \
        "address=$(cluster_address "$1")/24" </dev/null >>"$LAB/log/$1.log" 2>&1
    start_daemon "$1" listen "${NATIVE_ENTRY[@]}" /usr/sbin/guest-listen 2323 EXEC:/usr/sbin/guest-command
    start_daemon "$1" login "${NATIVE_ENTRY[@]}" /usr/sbin/guest-listen 2324 EXEC:/usr/sbin/guest-login,pty,stderr,setsid,ctty
}

# The clock, the modules and the power are this machine's.
NATIVE_ENTRY=(setpriv "--bounding-set=-sys_time,-sys_module,-sys_boot" chroot /run/root)
