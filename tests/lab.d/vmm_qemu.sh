# shellcheck shell=bash
# Hosts under QEMU: namespaces of this machine, whose bridges start guests under QEMU.
# shellcheck disable=SC2034 # all of it is for other modules

HOSTS=(h1 h2 h3 h4) # the last one is the spare
GUESTS=(g1 g2 g3)
VMM_MODULES=(virtio_pci virtio_blk virtio_net) # of the guests
VMM_APPEND="console=ttyS0 no_timer_check tsc=reliable 8250.nr_uarts=1"
VMM_GRL_BRIDGE=$STAGE/usr/sbin/grl-bridge

# Devices that keep QEMU from sending a guest; a host has them for two guests.
VMM_ADAPTERS=('nvme,serial=a' 'nvme,serial=b')
VMM_ADAPTER_KIND=v00001B36d00000010
VMM_ALONE=QEMU
# Of bench.sh, as ratios to what the VMM alone takes; null: none.
VMM_PAUSE_GOAL=2
VMM_IMAGES_GOAL=null
VMM_DOWNTIME_GOAL=1.2
VMM_BEAT_MS=1 # in which the network looks for a guest that moves
VMM_CAPTURE=${GRL_LAB_CAPTURE:-background} # how guests are captured
VMM_GUEST_MIB=256
VMM_PATIENCE=1 # how many times as long everything may take
VMM_BENCH_GUESTS_MIB="256 1024"
VMM_CHECKS="unit sanitize fuzz static model distcheck lab xen"

# The bats files that run here.
vmm_tests() { (cd "$SOURCE/tests" && printf '%s\n' cluster/*.bats | grep -v "^cluster/xen"); }

# The rest of the coordinator's configuration.
vmm_coordinator() { :; }

vmm_prepare() { :; }
vmm_accelerator() { accelerator; }

# A host has no address in the guests' network: it only bridges.
host_network() {
    in_lab ip netns add "grl-$1"
    plug "$1" mgmt0 management
    plug "$1" cluster0 cluster
    in_lab ip -n "grl-$1" -batch - <<-E
	link set lo up
	addr add $(management_address "$1")/24 dev mgmt0
	link set mgmt0 up
	link add br-cluster type bridge stp_state 0 forward_delay 0
	link set br-cluster up
	link set cluster0 master br-cluster up
	E
}

switch_on_host() { open_space "$1" --pid --fork; }
host_serves() { :; }
in_host() { in_space "$@"; }
machine_login() { in_machine "$1" bash -i; }

# The rest of a bridge's configuration.
vmm_bridge() {
    cat <<-E
	driver = "qemu"
	run_dir = "$LAB/$1/run"
	memory_mib = ${HOST_MIB:-$((4 * GUEST_MIB))}
	E
}

# The rest of a guest's definition.
vmm_guest() {
    local mib=$GUEST_MIB initrd=$IMAGE/initrd.cpio
    ! nodes_are_native || mib=64 initrd=$IMAGE/idle.cpio
    cat <<-E
	driver = "qemu"
	memory_mib = $mib
	[qemu]
	accel = "$(accelerator)"
	machine = "pc-i440fx-7.2"
	cpu = "max,la57=off"
	kernel = "$KERNEL/vmlinux"
	initrd = "$initrd"
	append = "$(guest_append "$1")"
	disk = "$IMAGE/root.img"
	nics = [ { bridge = "br-cluster", mac = "$(guest_mac "$1")" } ]
	E
}

guest_runs_on() {
    # shellcheck disable=SC2016
    [[ -s $LAB/$2/run/$1.pid ]] &&
        in_host "$2" sh -c 'read -r pid <"$1" && tr "\0" " " <"/proc/$pid/cmdline" | grep -q -- "-name $2"' \
            - "$LAB/$2/run/$1.pid" "$1" 2>/dev/null
}

# kill_guest GUEST: its QEMU dies; the host and its bridge live.
kill_guest() {
    local host
    host=$(guest_host "$1") || die "kill_guest: no host runs $1"
    # shellcheck disable=SC2016
    in_host "$host" sh -c 'kill -9 "$(cat "$1")"' - "$LAB/$host/run/$1.pid"
}

# ---- what it does without us, for bench.sh ----

vmm_bare_programs() { build_step "$LAB/build.log" make -C "$BUILD" tests/bench/bare_save tests/bench/bare_migrate; }

# A monitor serves one client, so the bridges give theirs up meanwhile; the guests do not notice.
vmm_bare_saves() {
    local guest host
    local -a homes=() monitors=()
    for guest in "${GUESTS[@]}"; do
        host=$(guest_host "$guest")
        homes+=("$host")
        monitors+=("$LAB/$host/run/$guest.qmp")
    done
    for host in "${homes[@]}"; do kill_bridge "$host"; done
    in_host h1 "$BUILD/tests/bench/bare_save" "$BENCH_ROUNDS" "$CHECKPOINTS" "${monitors[@]}"
    for host in "${homes[@]}"; do start_bridge "$host"; done
}

# vmm_bare_move FROM TO
vmm_bare_move() {
    kill_bridge "$1" && kill_bridge "$2"
    in_host "$2" "$BUILD/tests/bench/bare_migrate" g1 "$LAB/$1/run" "$LAB/$2/run"
    start_bridge "$1" && start_bridge "$2"
}

# vmm_bare_evacuation HOST: milliseconds until each guest has gone to the host of its number.
vmm_bare_evacuation() {
    local guest host began ended
    local -a asked=()
    for host in "${HOSTS[@]}"; do kill_bridge "$host"; done
    began=$(now_ms)
    for guest in "${GUESTS[@]}"; do
        in_host "h${guest#g}" "$BUILD/tests/bench/bare_migrate" "$guest" "$LAB/$1/run" "$LAB/h${guest#g}/run" >/dev/null &
        asked+=($!)
    done
    wait "${asked[@]}"
    ended=$(now_ms)
    for host in "${HOSTS[@]}"; do start_bridge "$host"; done
    echo $((ended - began))
}
