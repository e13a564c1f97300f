# shellcheck shell=bash
# The guests' kernel: Debian's, unpacked and never installed; its modules, an initramfs, and whether KVM runs it.

KERNEL=$LAB/kernel

# Fetches once: the kernel that linux-image-amd64 depends on, and a busybox that needs no libraries.
kernel() {
    [[ -f $KERNEL/complete ]] && return
    say "kernel: fetching Debian's kernel package"
    rm -rf "$KERNEL"
    mkdir -p "$KERNEL/debs" "$KERNEL/tree"
    local name
    name=$(kernel_package) || { apt_get update; name=$(kernel_package); } ||
        die "kernel: linux-image-amd64 is not known to apt (run apt-get update)"
    (cd "$KERNEL/debs" && apt_get download "$name" busybox-static)
    local deb
    for deb in "$KERNEL"/debs/*.deb; do dpkg -x "$deb" "$KERNEL/tree"; done
    depmod -b "$KERNEL/tree" "$(kernel_release)"
    kernel_vmlinux "$KERNEL/tree/boot/vmlinuz-$(kernel_release)" "$KERNEL/vmlinux"
    touch "$KERNEL/complete"
}

kernel_package() {
    apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | grep -m 1 .
}

kernel_release() { basename "$KERNEL"/tree/lib/modules/*; }

# The uncompressed kernel boots by PVH, seconds sooner than one that unpacks itself under emulation.
# The offsets are the x86 boot protocol's setup_sects, payload_offset and payload_length.
kernel_vmlinux() {
    local image=$1 out=$2 setup offset length
    setup=$(kernel_number "$image" $((0x1f1)) 1)
    offset=$(kernel_number "$image" $((0x248)) 4)
    length=$(kernel_number "$image" $((0x24c)) 4)
    # xz stops at the end of its stream; the size that the kernel's build appends is left.
    dd if="$image" bs=1M iflag=skip_bytes,count_bytes skip=$(((setup + 1) * 512 + offset)) count="$length" status=none |
        xz -dc --single-stream >"$out" ||
        die "kernel: $image is not compressed with xz"
}

kernel_number() { od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '; }

# Paths of the modules named and of those they need, in the order in which they must be loaded.
kernel_modules() {
    local module
    for module in "$@"; do
        modprobe -d "$KERNEL/tree" -S "$(kernel_release)" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
    done | awk '!seen[$0]++'
}

# initramfs OUT INIT [MODULE...]: busybox, /init, and the modules with a list of them in order.
initramfs() {
    local out=$1 init=$2 tree=$LAB/image/initramfs
    shift 2
    rm -rf "$tree"
    mkdir -p "$tree"/{bin,dev,proc,sys,modules,lower,upper,root}
    cp "$KERNEL/tree/bin/busybox" "$tree/bin/busybox"
    install -m 755 "$init" "$tree/init"
    initramfs_modules "$tree/modules" "$@"
    (cd "$tree" && find . | cpio -o -H newc --quiet) >"$out"
}

# initramfs_modules DIRECTORY [MODULE...]
initramfs_modules() {
    local directory=$1 module
    shift
    : >"$directory/list"
    for module in $(kernel_modules "$@"); do
        cp "$module" "$directory/"
        basename "$module" >>"$directory/list"
    done
}

# Prints kvm or tcg. That /dev/kvm opens says little: only a kernel that ran to its userland proves it.
accelerator() {
    local answer=$KERNEL/accelerator
    if [[ ! -s $answer || $(head -n 1 "$answer") != "$(</proc/sys/kernel/random/boot_id)" ]]; then
        cat /proc/sys/kernel/random/boot_id >"$answer"
        if [[ -w /dev/kvm ]] && kernel_runs_on_kvm; then echo kvm; else echo tcg; fi >>"$answer"
    fi
    tail -n 1 "$answer"
}

kernel_runs_on_kvm() {
    initramfs "$KERNEL/probe.cpio" "$LAB_D/guest/probe-init"
    timeout -s KILL 20 qemu-system-x86_64 -accel kvm -cpu max,la57=off -machine pc-i440fx-7.2 -m 256 -nodefaults \
        -no-user-config -display none -no-reboot -serial stdio -kernel "$KERNEL/vmlinux" -initrd "$KERNEL/probe.cpio" \
        -append 'console=ttyS0 panic=-1' </dev/null 2>&1 | grep -q '^grl-probe-runs'
}
