# shellcheck shell=bash
# Debian's hypervisor and its tools, unpacked and never installed.
# shellcheck disable=SC2034 # some of these are for other modules

XEN=$LAB/xen
XEN_TOOLS=/usr/lib/xen-4.17/bin
XEN_PACKAGES=(xen-hypervisor-4.17-amd64 xen-utils-4.17 xen-utils-common xenstore-utils)

xen() {
    [[ -f $XEN/complete ]] && return
    say "xen: fetching Debian's packages"
    rm -rf "$XEN"
    mkdir -p "$XEN/debs" "$XEN/tree"
    [[ -n $(apt-cache show "${XEN_PACKAGES[0]}" 2>/dev/null) ]] || apt_get update
    (cd "$XEN/debs" && apt_get download "${XEN_PACKAGES[@]}")
    local deb
    for deb in "$XEN"/debs/*.deb; do dpkg -x "$deb" "$XEN/tree"; done
    # What is in there is a multiboot image.
    gunzip -c "$XEN/tree/boot/xen-4.17-amd64.gz" >"$XEN/xen.elf"
    touch "$XEN/complete"
}
