# shellcheck shell=bash
# Accounts and names, the same in the guests and on the control host.

MUNGE_ID=110

# users ETC: writes the files to that directory.
users() {
    cat >"$1/passwd" <<-E
	root:x:0:0:root:/root:/bin/bash
	munge:x:$MUNGE_ID:$MUNGE_ID::/run/munge:/usr/sbin/nologin
	user:x:1000:1000::/tmp:/bin/bash
	nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
	E
    cat >"$1/group" <<-E
	root:x:0:
	munge:x:$MUNGE_ID:
	user:x:1000:
	nogroup:x:65534:
	E
    printf '%s\n' 'passwd: files' 'group: files' 'hosts: files' >"$1/nsswitch.conf"
    {
        printf '127.0.0.1 localhost\n%s ctl\n' "$CLUSTER.1"
        local guest
        for guest in "${GUESTS[@]}"; do echo "$(cluster_address "$guest") $guest"; done
    } >"$1/hosts"
}
