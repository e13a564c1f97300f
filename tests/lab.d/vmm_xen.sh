# shellcheck shell=bash
# Hosts under Xen: machines under QEMU's emulation, each with Debian's hypervisor and a dom0 in which the bridge runs.
# A host's namespaces hold its QEMU and two switches to which that one's network cards are plugged.
# shellcheck disable=SC2034 # all of it is for other modules

HOSTS=(h1 h2)
GUESTS=(g1 g2)
VMM_APPEND="console=hvc0"
VMM_GRL_BRIDGE=/usr/sbin/grl-bridge # in dom0
VMM_ALONE=xl
# Of bench.sh, as ratios to what xl alone takes.
VMM_PAUSE_GOAL=1
VMM_IMAGES_GOAL=0.334
VMM_DOWNTIME_GOAL=1
VMM_BEAT_MS=20 # more would keep the emulated guest busy
# Devices that the hypervisor passes through, as QEMU emulates the hardware for that too. They have no interrupt line, as the
# virtual functions of an adapter have none: Debian's 6.1 does not survive a restore when a device that had one is gone.
VMM_ADAPTERS=(0000:00:10.0 0000:00:11.0)
VMM_ADAPTER_KIND=v00001B36d00000005
XEN_TYPE=${GRL_LAB_XEN_TYPE:-pvh} # of the guests; pv
VMM_MODULES=(xen-blkfront xen-netfront) # of the guests
((${GRL_LAB_ADAPTERS:-0} == 0)) || { XEN_TYPE=pv; VMM_MODULES+=(xen-pcifront); }
VMM_CAPTURE=${GRL_LAB_CAPTURE:-live} # how guests are captured
VMM_GUEST_MIB=192
VMM_PATIENCE=4 # how many times as long everything may take: guests are emulated twice over
# A guest stands still for seconds while its memory goes out, so a job needs longer between two lines.
DEMO_EVERY_S=15
DEMO_ITERATIONS=40
DEMO_PAUSE_US=500000
VMM_BENCH_GUESTS_MIB=$VMM_GUEST_MIB
VMM_CHECKS="lab"

# The bats files that run here.
vmm_tests() { printf 'cluster/%s.bats\n' demo lines migrate xen xen_pv adapters; }

XEN_DOM0_MIB=${GRL_LAB_XEN_DOM0_MIB:-768}
XEN_HOST_MIB=$((XEN_DOM0_MIB + 896))

# The rest of the coordinator's configuration.
vmm_coordinator() {
    cat <<-E
	[deadlines]
	prepare_ms = 30000
	drain_ms = 60000
	freeze_ms = 29000
	capture_ms = 120000
	release_ms = 60000
	silence_failsafe_ms = 240000
	switch_ms = 180000
	restore_ms = 240000
	rejoin_ms = 180000
	bridge_lost_ms = 15000
	E
}

vmm_prepare() {
    ! nodes_are_native || die "native nodes need the QEMU lab"
    xen
    dom0
}

vmm_accelerator() { echo tcg; }

host_network() {
    local switch
    in_lab ip netns add "grl-$1"
    for switch in management cluster; do
        plug "$1" "$switch" "$switch"
        in_lab ip -n "grl-$1" -batch - <<-E
		link add br-$switch type bridge stp_state 0 forward_delay 0
		link set br-$switch up
		link set $switch master br-$switch up
		tuntap add dev tap-$switch mode tap
		link set tap-$switch master br-$switch up
		E
    done
}

# A machine whose hypervisor can pass devices through is Intel's, and has no hardware-assisted paging under emulation.
xen_machine() {
    local i
    if ((ADAPTERS == 0)); then
        printf '%s\n' -machine pc-i440fx-7.2 -cpu qemu64,+svm,+npt,+rdrand
        return
    fi
    printf '%s\n' -machine q35 -cpu qemu64,vendor=GenuineIntel,-svm,+rdrand -device intel-iommu,intremap=on,caching-mode=on
    for i in "${!VMM_ADAPTERS[@]}"; do
        printf '%s\n' -device "pci-testdev,bus=pcie.0,addr=0x1$i"
    done
}

switch_on_host() {
    local dir=$LAB/$1/machine machine
    mapfile -t machine < <(xen_machine)
    open_space "$1" --pid --fork
    mkdir -p "$dir"
    in_space "$1" "$LAB_D/process" spawn "$dir/qemu.pid" "$dir/qemu.log" qemu-system-x86_64 \
        -name "$1" "${machine[@]}" -accel tcg,thread=multi,tb-size=256 \
        -smp 1 -m "$XEN_HOST_MIB" -nodefaults -no-user-config -display none -no-reboot -serial "file:$dir/console.log" \
        -kernel "$XEN/xen.elf" -append "$(xen_append)" \
        -initrd "$KERNEL/vmlinux $(xen_dom0_append "$1"),$XEN/dom0.cpio" \
        -drive "if=none,id=root,file=$IMAGE/root.img,format=raw,readonly=on" -device virtio-blk-pci,drive=root \
        -netdev tap,id=management,ifname=tap-management,script=no,downscript=no \
        -device "virtio-net-pci,netdev=management,romfile=,mac=52:54:00:80:00:1$(number_of "$1")" \
        -netdev tap,id=cluster,ifname=tap-cluster,script=no,downscript=no \
        -device "virtio-net-pci,netdev=cluster,romfile=,mac=52:54:00:81:00:1$(number_of "$1")" \
        -virtfs "local,mount_tag=lab,path=$LAB,security_model=none,multidevs=remap"
}

# What an emulated processor would only lose time with is switched off.
xen_append() {
    echo "dom0_mem=${XEN_DOM0_MIB}M,max:${XEN_DOM0_MIB}M dom0_max_vcpus=1 sched=credit com1=115200,8n1 console=com1" \
        "bootscrub=no spec-ctrl=no xpti=no pv-l1tf=off noreboot"
}

xen_dom0_append() {
    echo "console=hvc0 quiet loglevel=4 mitigations=off init_on_alloc=0 audit=0 apparmor=0 ipv6.disable=1 cryptomgr.notests" \
        "random.trust_cpu=on host=$1 address=$(management_address "$1")/24 lab=$LAB"
}

host_serves() {
    local adapter
    wait_for 120 "dom0 of $1 (console: $LAB/$1/machine/console.log)" host_answers "$1"
    ((ADAPTERS == 0)) || for adapter in "${VMM_ADAPTERS[@]}"; do in_host "$1" xl pci-assignable-add "$adapter"; done
}

host_answers() { in_host "$1" true 2>/dev/null; }

# Its errors come with its output, and there is no input.
in_host() {
    local host=$1
    shift
    machine_send "$host" "$(management_address "$host")" "${HOST_SH_S:-180}" "$(printf '%q ' env "$@")" </dev/null
}

machine_login() {
    if [[ $1 == ctl ]]; then in_ctl bash -i; else machine_terminal "$(management_address "$1")"; fi
}

# The rest of a bridge's configuration.
vmm_bridge() {
    cat <<-E
	driver = "xen"
	run_dir = "/run/grl"
	memory_mib = ${HOST_MIB:-$((XEN_HOST_MIB - XEN_DOM0_MIB - 128))}
	E
}

# The rest of a guest's definition.
vmm_guest() {
    cat <<-E
	driver = "xen"
	memory_mib = $GUEST_MIB
	[xen]
	type = "$XEN_TYPE"
	kernel = "$DOM0_BOOT/vmlinux"
	initrd = "$DOM0_BOOT/initrd.cpio"
	append = "$(guest_append "$1")"
	disk = "/dev/vda"
	nics = [ { bridge = "br-cluster", mac = "$(guest_mac "$1")" } ]
	E
}

guest_runs_on() { in_host "$2" xl domid "$1" >/dev/null 2>&1; }

# kill_guest GUEST: its domain dies; the host and its bridge live.
kill_guest() {
    local host
    host=$(guest_host "$1") || die "kill_guest: no host runs $1"
    in_host "$host" xl destroy "$1"
}

# ---- what it does without us, for bench.sh ----

vmm_bare_programs() { :; }

# The bridges do not look meanwhile: the guests suspend without their asking.
vmm_bare_saves() {
    local i host
    for host in "${HOSTS[@]}"; do kill_bridge "$host"; done
    for ((i = 0; i < BENCH_ROUNDS; i++)); do
        bare_at_once bare-save | jq -cs '{pause_ms: map(.pause_ms) | max, bytes: map(.bytes) | add}'
    done
    for host in "${HOSTS[@]}"; do start_bridge "$host"; done
}

# Of what vmm_bare_saves has left, each guest where it is; nothing of ours runs beside it afterwards.
vmm_bare_restores() {
    local i host
    for host in "${HOSTS[@]}"; do kill_bridge "$host"; done
    for ((i = 0; i < BENCH_RESTORES; i++)); do
        bare_at_once bare-restore | sort -n | tail -n 1
    done
}

# bare_at_once PROGRAM: for each guest with its file, on its host; prints what they print.
bare_at_once() {
    local guest pid
    local -a asked=()
    local -A homes=()
    for guest in "${GUESTS[@]}"; do homes[$guest]=$(guest_host "$guest"); done
    for guest in "${GUESTS[@]}"; do
        HOST_SH_S=300 in_host "${homes[$guest]}" "$1" "$guest" "$CHECKPOINTS/bare-$guest" >"$LAB/log/bare-$guest.out" &
        asked+=($!)
    done
    for pid in "${asked[@]}"; do wait "$pid" || return; done
    cat "$LAB"/log/bare-g*.out
}

# vmm_bare_move FROM TO, without ssh between them; over when the receiver is. The bridges' record of g1 goes with it.
vmm_bare_move() {
    local began ended sender receiver
    kill_bridge "$1" && kill_bridge "$2"
    in_host "$1" mv /run/grl/g1.xen "$LAB/log/"
    in_host "$2" mv "$LAB/log/g1.xen" /run/grl/
    HOST_SH_S=300 in_host "$2" socat TCP-LISTEN:7600,reuseaddr EXEC:"xl migrate-receive -e" >"$LAB/log/bare-receive.log" &
    receiver=$!
    wait_for 20 "a receiver on $2" host_listens "$2" 7600
    began=$(now_ms)
    HOST_SH_S=300 in_host "$1" xl migrate -s '' g1 "socat -t 1 - TCP:$(management_address "$2"):7600" >"$LAB/log/bare-send.log" &
    sender=$!
    wait "$receiver"
    ended=$(now_ms)
    wait "$sender" || return
    echo "{\"total_ms\": $((ended - began)), \"bytes\": 0}"
    start_bridge "$1" && start_bridge "$2"
}

host_listens() { in_host "$1" netstat -ltn | grep -q ":$2 "; }
