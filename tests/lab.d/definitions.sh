# shellcheck shell=bash
# The guests' definitions, which the bridges read.
# shellcheck disable=SC2034 # for the VMM's module

# How many of its host's adapters each guest has: 0 or 1.
ADAPTERS=${GRL_LAB_ADAPTERS:-0}
# Of one guest; other people's programs may want more.
GUEST_MIB=${GRL_LAB_GUEST_MIB:-$VMM_GUEST_MIB}

guest_definitions() {
    local guest
    # Another VMM's lab may have had more.
    find "$LAB/guests" -name 'g*.toml' ! -name "g[1-${#GUESTS[@]}].toml" -delete
    ! nodes_are_native || initramfs "$IMAGE/idle.cpio" "$LAB_D/guest/idle-init"
    for guest in "${GUESTS[@]}"; do
        {
            printf 'name = "%s"\naddress = "%s"\nvcpus = 1\nadapters = %s\n' "$guest" "$(cluster_address "$guest")" "$ADAPTERS"
            vmm_guest "$guest"
        } >"$LAB/guests/$guest.toml"
    done
}

guest_mac() { echo "52:54:00:77:00:1$(number_of "$1")"; }

# What an emulated processor would only lose time with is switched off.
guest_append() {
    echo "$VMM_APPEND quiet loglevel=3 panic=0 ipv6.disable=1 audit=0 apparmor=0 mitigations=off init_on_alloc=0" \
        "cryptomgr.notests random.trust_cpu=on rcupdate.rcu_expedited=1" \
        "node=$1 address=$(cluster_address "$1")/24"
}
