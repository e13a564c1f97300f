# shellcheck shell=bash
# The guests' read-only root disk, from the Debian packages of this machine.

IMAGE=$LAB/image
IMAGE_GRL_FILES=(/usr/libexec/grl/grl-master "$LIBDIR"/grl/{spank_grl,libgrl_agent,libgrl_mpi}.so)
IMAGE_COMMANDS=(
    /usr/bin/{bash,munge,sbatch,scancel,scontrol,setpriv,sinfo,socat,squeue,srun}
    /usr/sbin/{munged,slurmd,slurmstepd}
)
# Initramfs: what leads to the root disk. Network and root disk are there before slurmd starts.
IMAGE_MODULES=(crc32c_generic crc32c-intel ext4 overlay)

image() {
    build
    image_from_stage
}

image_from_stage() {
    kernel
    keys
    mkdir -p "$IMAGE" "$LAB/guests"
    local base stamp
    base=$(image_base_stamp)
    stamp=$(image_stamp)
    if [[ ! -f $IMAGE/stamp || $(<"$IMAGE/stamp") != "$stamp" ]]; then
        # A line of a guest that runs is worth nothing over another root disk.
        ! lab_is_up || die "image: what goes into it has changed, but guests run from it (tests/lab down first)"
        say "image: building"
        rm -f "$IMAGE/stamp"
        [[ -f $IMAGE/base.stamp && $(<"$IMAGE/base.stamp") == "$base" ]] || image_base "$base"
        rm -rf "$IMAGE/root"
        cp -a "$IMAGE/base" "$IMAGE/root"
        cargo_load "$IMAGE/root"
        image_grl
        image_disk
        initramfs "$IMAGE/initrd.cpio" "$LAB_D/guest/initramfs-init" "${VMM_MODULES[@]}" "${IMAGE_MODULES[@]}"
        echo "$stamp" >"$IMAGE/stamp"
    fi
    guest_definitions
    vmm_prepare
}

image_stamp() { { image_base_stamp; image_grl_stamp; cargo_stamp; echo "${VMM_MODULES[@]}"; } | sha256sum; }

# Two MUNGE keys: the cluster's, which guests have, and that of hosts and coordinator, which they do not.
keys() {
    local key
    mkdir -p "$LAB/keys"
    for key in cluster hosts; do
        [[ -s $LAB/keys/$key ]] || (umask 077 && head -c 128 /dev/urandom >"$LAB/keys/$key")
    done
}

image_base_stamp() {
    {
        dpkg-query -W
        ls "$KERNEL/debs"
        slurm_conf
        echo "$VMM"
        cat "$LAB_D"/{image,cargo,accounts,kernel}.sh "$LAB_D"/guest/* "$LAB_D/inittab" "$LAB/keys/cluster"
    } | sha256sum
}

image_grl_stamp() {
    local file
    for file in "${IMAGE_GRL_FILES[@]}"; do
        [[ ! -f $STAGE$file ]] || sha256sum "$STAGE$file"
    done
    image_program_files | xargs -r sha256sum
}

# The programs for /opt/grl as files of the build tree; where libtool made a wrapper, what it wraps.
image_program_files() {
    local name path
    while read -r name; do
        path=$BUILD/$name
        [[ ! -x ${path%/*}/.libs/${path##*/} ]] || path=${path%/*}/.libs/${path##*/}
        [[ -x $path ]] || die "image: $name is in tests/lab.d/guest_programs but was not built"
        echo "$path"
    done < <(guest_programs)
}

image_base() {
    local root=$IMAGE/base slurm=$LIBDIR/slurm-wlm
    rm -rf "$root" "$IMAGE/base.stamp"
    mkdir -p "$root"/usr/{bin,sbin,lib,lib64} "$root"/{dev,proc,sys,run,tmp,root,home,opt,etc} "$root"/var/{log,lib,spool/slurmd}
    local d
    for d in bin sbin lib lib64; do ln -s "usr/$d" "$root/$d"; done
    ln -s ../run "$root/var/run"
    chmod 1777 "$root/tmp"

    # slurmstepd opens libpmix.so, libgcc_s is opened by the end of a thread: ldd names neither.
    {
        printf '%s\n' "${IMAGE_COMMANDS[@]}" "$LIBDIR"/{libpmix.so,libgcc_s.so.1} "$LIBDIR"/libmpi.so.40
        find "$slurm" "$LIBDIR/openmpi" "$LIBDIR/pmix2" -name '*.so'
    } | image_closure | image_copy "$root"
    (cd / && cp -a --parents "${LIBDIR#/}/pmix2/share" usr/share/openmpi etc/openmpi etc/ld.so.conf etc/ld.so.conf.d "$root")
    image_busybox "$root"
    image_settings "$root"
    echo "$1" >"$IMAGE/base.stamp"
}

# Adds to the files on standard input the libraries that they load.
image_closure() {
    local list
    list=$(cat)
    {
        echo "$list"
        xargs ldd 2>/dev/null <<<"$list" | sed -n -e 's/.*=> \(\/[^ ]*\) .*/\1/p' -e 's/^\t\(\/[^ ]*\) .*/\1/p'
    } | sort -u
}

# Copies files to the same places below ROOT; a link becomes a link to what it leads to in the end.
image_copy() {
    local root=$1 path target
    cat >"$IMAGE/paths"
    xargs realpath -e <"$IMAGE/paths" >"$IMAGE/targets"
    while IFS=$'\t' read -r path target; do
        [[ $path == /usr/* ]] || path=/usr$path
        [[ $path != "$target" ]] || continue
        mkdir -p "$root${path%/*}"
        ln -sfn "$target" "$root$path"
    done < <(paste "$IMAGE/paths" "$IMAGE/targets")
    (cd / && sed 's/^.//' "$IMAGE/targets" | sort -u | xargs cp -a --parents -t "$root")
}

image_busybox() {
    local root=$1 applet
    cp "$KERNEL/tree/bin/busybox" "$root/usr/bin/busybox"
    for applet in $("$root/usr/bin/busybox" --list); do
        [[ -e $root/usr/bin/$applet || -e $root/usr/sbin/$applet ]] || ln -s busybox "$root/usr/bin/$applet"
    done
    ln -sf ../bin/busybox "$root/usr/sbin/init"
}

image_settings() {
    local root=$1 file
    users "$root/etc"
    for file in guest-start guest-listen guest-command guest-login guest-fresh; do
        install -m 755 "$LAB_D/guest/$file" "$root/usr/sbin/"
    done
    install -m 644 "$LAB_D/inittab" "$root/etc/inittab"
    mkdir -p "$root"/etc/{slurm,munge} "$root"/var/{lib,log}/munge "$root/opt/grl"
    slurm_conf >"$root/etc/slurm/slurm.conf"
    # slurmd loads a cgroup plugin though nothing here asks for one; the one for v2 wants systemd.
    echo 'CgroupPlugin=cgroup/v1' >"$root/etc/slurm/cgroup.conf"
    cp "$LAB/keys/cluster" "$root/etc/munge/munge.key"
    chown -R "$MUNGE_ID:$MUNGE_ID" "$root/etc/munge" "$root"/var/{lib,log}/munge
    chmod 700 "$root/etc/munge" "$root"/var/{lib,log}/munge
    # Debian's defaults leave out osc/pt2pt, the one that works between guests.
    cat >"$root/etc/openmpi/openmpi-mca-params.conf" <<-E
	btl = tcp,self
	btl_tcp_if_include = eth0
	pml = ob1
	osc = pt2pt
	mpi_yield_when_idle = 1
	E
}

image_grl() {
    local root=$IMAGE/root file missing
    local -a copied=()
    for file in "${IMAGE_GRL_FILES[@]}"; do
        [[ -f $STAGE$file ]] || { say "image: $file is not built yet: left out"; continue; }
        mkdir -p "$root${file%/*}"
        install -s -m 755 "$STAGE$file" "$root$file"
        copied+=("$root$file")
    done
    while read -r file; do
        install -s -m 755 "$file" "$root/opt/grl/"
        copied+=("$root/opt/grl/${file##*/}")
    done < <(image_program_files)
    ((${#copied[@]} == 0)) || printf '%s\n' "${copied[@]}" | image_closure | grep -v "^$root/" | image_copy "$root"
    [[ ! -f $root$LIBDIR/grl/spank_grl.so ]] ||
        plugstack_line "" >"$root/etc/slurm/plugstack.conf"
    ldconfig -r "$root"
    # shellcheck disable=SC2016
    missing=$(chroot "$root" /usr/bin/bash -c 'for f; do LD_TRACE_LOADED_OBJECTS=1 /lib64/ld-linux-x86-64.so.2 "$f"; done' - \
        "${copied[@]#"$root"}" 2>&1 | grep 'not found') || return 0
    die "image: libraries missing in the guest: $missing"
}

image_disk() {
    local mib files
    files=$(find "$IMAGE/root" | wc -l)
    mib=$(du -sm "$IMAGE/root" | cut -f 1)
    mke2fs -q -t ext4 -O ^has_journal,^metadata_csum -N $((files + 1000)) -d "$IMAGE/root" "$IMAGE/root.img.new" \
        "$((mib * 115 / 100 + 16))M" >/dev/null
    mv "$IMAGE/root.img.new" "$IMAGE/root.img"
}
