# shellcheck shell=bash
# Installs the Debian packages listed in `packages`, without starting the daemons that come with some of them.

deps() {
    local missing
    missing=$(deps_missing)
    [[ -n $missing ]] || return 0
    # shellcheck disable=SC1091
    [[ $(. /etc/os-release && echo "$ID$VERSION_ID") == debian12 ]] ||
        die "deps: this is not Debian 12; install by hand:" "$missing"
    say "deps: apt-get install" "$missing"
    apt_get update
    # shellcheck disable=SC2086
    without_services apt_get install --no-install-recommends $missing
}

deps_missing() {
    local wanted
    mapfile -t wanted < <(grep -v '^#' "$LAB_D/packages")
    comm -13 <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^ii *//p' | sort -u) \
        <(printf '%s\n' "${wanted[@]}" | sort) | paste -sd ' '
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o APT::Sandbox::User=root "$@" >&2 ||
        die "apt-get $1 failed (is a Debian mirror configured and reached?)"
}

# The lab runs its own slurmctld, slurmd and munged in its own namespaces; a site's policy, if any, stays.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    [[ ! -e $policy ]] || { "$@"; return; }
    (
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        "$@"
    )
}
