# shellcheck shell=bash
# The guests' definitions, which the bridges read.

# Of one guest; other people's programs may want more.
GUEST_MIB=${GRL_LAB_GUEST_MIB:-256}

guest_definitions() {
    local guest accel mib=$GUEST_MIB initrd=$IMAGE/initrd.cpio
    accel=$(accelerator)
    if nodes_are_native; then
        mib=64 initrd=$IMAGE/idle.cpio
        initramfs "$initrd" "$LAB_D/guest/idle-init"
    fi
    for guest in "${GUESTS[@]}"; do
        cat >"$LAB/guests/$guest.toml" <<-E
	name = "$guest"
	address = "$(cluster_address "$guest")"
	driver = "qemu"
	memory_mib = $mib
	vcpus = 1
	[qemu]
	accel = "$accel"
	machine = "pc-i440fx-7.2"
	cpu = "max,la57=off"
	kernel = "$KERNEL/vmlinux"
	initrd = "$initrd"
	append = "$(guest_append "$guest")"
	disk = "$IMAGE/root.img"
	nics = [ { bridge = "br-cluster", mac = "$(guest_mac "$guest")" } ]
	E
    done
}

guest_mac() { echo "52:54:00:77:00:1$(number_of "$1")"; }

# What an emulated processor would only lose time with is switched off.
guest_append() {
    echo "console=ttyS0 quiet loglevel=3 panic=0 ipv6.disable=1 audit=0 apparmor=0 mitigations=off init_on_alloc=0" \
        "cryptomgr.notests no_timer_check tsc=reliable random.trust_cpu=on 8250.nr_uarts=1 rcupdate.rcu_expedited=1" \
        "node=$1 address=$(cluster_address "$1")/24"
}
