# shellcheck shell=bash
# The whole lab: up, down, status, shell.

up() {
    local began
    build
    down
    image_from_stage
    forget
    began=$(now_ms)
    say "up: control, ${#HOSTS[@]} hosts"
    open_lab
    open_network
    open_control
    open_checkpoints
    start_coordinator
    power_on_hosts "${HOSTS[@]}"
    say "up: guests ($VMM, accelerator: $(vmm_accelerator))"
    start_guests
    lab_stamp >"$LAB/ctl/stamp"
    say "up: ${GUESTS[*]} idle after $((($(now_ms) - began) / 1000)) s"
}

# The running lab if it is up to date and idle, or else one that is.
up_unless_ready() {
    if lab_is_up && [[ -f $LAB/ctl/stamp && $(<"$LAB/ctl/stamp") == "$(lab_stamp)" ]] && nodes_idle; then
        say "the lab is up already"
    else
        up
    fi
}

# What the running lab was made of.
lab_stamp() { { image_stamp; guest_definitions; cat "$LAB"/guests/*.toml; sha256sum "$STAGE"/usr/{bin,sbin}/*; } | sha256sum; }

# Everything that runs in the lab is below one process, and its mounts and networks are in that one's namespaces.
down() {
    close_lab || die "down: the lab's first process does not end (record: $LAB_RECORD)"
}

# Logs and state of the last time are kept until the next.
forget() {
    local name
    for name in log etc ctl h{1..4} g{1..3}; do rm -rf "${LAB:?}/$name"; done
}

status() {
    lab_is_up || { echo "down"; return; }
    local name daemon record
    for name in ctl "${HOSTS[@]}"; do
        if ! host_is_on "$name"; then
            echo "$name  off"
            continue
        fi
        printf '%s ' "$name"
        for record in "$LAB/$name"/*.pid; do
            daemon=$(basename "$record" .pid)
            [[ $daemon == space ]] || printf ' %s:%s' "$daemon" "$(daemon_alive "$name" "$daemon" && echo up || echo DEAD)"
        done
        echo
    done
    for name in "${GUESTS[@]}"; do
        printf '%s  host %s, slurm %s\n' "$name" "$(guest_host "$name" || echo none)" \
            "$(in_ctl sinfo -h -N -p guests -n "$name" -o %T 2>/dev/null || echo unknown)"
    done
}

# shell MACHINE [CMD...]
shell() {
    local name=${1:-}
    lab_is_up || die "shell: the lab is down (start it with 'tests/lab up')"
    shift || true
    case " ${GUESTS[*]} " in
        *" $name "*)
            if (($#)); then guest_sh "$name" "$@"; else guest_login "$name"; fi
            return
            ;;
    esac
    case " ctl ${HOSTS[*]} " in
        *" $name "*)
            if (($#)); then in_machine "$name" "$@"; else machine_login "$name"; fi
            ;;
        *) die "shell: no machine '$name' (machines: ${GUESTS[*]} ctl ${HOSTS[*]})" ;;
    esac
}
