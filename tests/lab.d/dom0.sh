# shellcheck shell=bash
# dom0's root, an initramfs: Debian's tools of Xen's, grl-bridge, munged, and the lab's way in.

DOM0_MODULES=(xenfs xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xen-netback xen-blkback xen-pciback bridge
    virtio_pci virtio_net virtio_blk 9p 9pnet_virtio)
DOM0_COMMANDS=(/usr/bin/{bash,flock,munge,socat} /usr/sbin/munged "$(readlink -f /sbin/ip)")
DOM0_TOOLS=(xl xenstored xenconsoled xen-init-dom0 libxl-save-helper)
DOM0=$XEN/dom0
DOM0_BOOT=/var/lib/grl/boot # what guests boot from

dom0() {
    local stamp
    stamp=$(dom0_stamp)
    [[ ! -f $XEN/dom0.stamp || $(<"$XEN/dom0.stamp") != "$stamp" ]] || return 0
    say "dom0: building"
    rm -rf "$DOM0" "$XEN/dom0.stamp"
    dom0_root
    (cd "$DOM0" && find . | cpio -o -H newc --quiet) >"$XEN/dom0.cpio"
    echo "$stamp" >"$XEN/dom0.stamp"
}

dom0_stamp() {
    {
        dpkg-query -W
        ls "$KERNEL/debs" "$XEN/debs"
        cat "$LAB_D"/{dom0,xen,accounts,common}.sh "$LAB_D"/dom0/* "$LAB_D"/guest/guest-{command,listen,login} "$LAB_D/process"
        sha256sum "$STAGE/usr/sbin/grl-bridge" "$IMAGE/initrd.cpio"
    } | sha256sum
}

dom0_root() {
    local d tool
    mkdir -p "$DOM0"/usr/{bin,sbin,lib,lib64,lib/xen-4.17/bin} "$DOM0"/{dev,proc,sys,run,tmp,root,etc,modules,var/lib/xen,var/log/xen} "$DOM0$DOM0_BOOT"
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$DOM0/$d"; done
    ln -s ../run "$DOM0/var/run"
    for tool in "${DOM0_TOOLS[@]}"; do
        cp "$XEN/tree$XEN_TOOLS/$tool" "$DOM0$XEN_TOOLS/"
        ln -s "$XEN_TOOLS/$tool" "$DOM0/usr/sbin/$tool"
    done
    cp -a "$XEN"/tree/usr/bin/xenstore* "$DOM0/usr/bin/"
    cp -a "$XEN/tree/etc/xen" "$DOM0/etc/"
    install -m 755 "$LAB_D"/dom0/{block,vif-bridge} "$DOM0/etc/xen/scripts/"
    install -s -m 755 "$STAGE/usr/sbin/grl-bridge" "$DOM0/usr/sbin/"
    # Not by a share: libxenlight reads page by page.
    cp "$KERNEL/vmlinux" "$IMAGE/initrd.cpio" "$DOM0$DOM0_BOOT/"
    # libgcc_s is opened by the end of a thread: ldd does not name it.
    {
        printf '%s\n' "${DOM0_COMMANDS[@]}" "$LIBDIR/libgcc_s.so.1"
        find "$DOM0/usr/sbin" "$DOM0/usr/bin" "$DOM0$XEN_TOOLS" -type f | image_closure | grep -v "^$DOM0/"
    } | image_closure | image_copy "$DOM0"
    image_busybox "$DOM0"
    ln -s usr/sbin/init "$DOM0/init"
    users "$DOM0/etc"
    install -m 755 "$LAB_D"/dom0/{bare-save,bare-restore,dom0-start} "$LAB_D"/guest/guest-{command,listen,login} "$DOM0/usr/sbin/"
    install -m 644 "$LAB_D/dom0/inittab" "$DOM0/etc/inittab"
    initramfs_modules "$DOM0/modules" "${DOM0_MODULES[@]}"
    # By the same path there and here, as all that the lab's modules name.
    mkdir -p "$DOM0$LAB_D"
    cp "$LAB_D"/{process,common.sh} "$DOM0$LAB_D/"
    ldconfig -r "$DOM0"
}
