# shellcheck shell=bash
# One run of a program in the guests: the job, what disturbs it, and what it leaves behind.

# torture_run DIRECTORY [SRUN_OPTION...]: with an option, lines are asked of the job while it runs.
torture_run() {
    local dir=$1 job disturber
    shift
    mkdir -p "$dir"
    cargo_fresh
    job=$(torture_script "$@" | submit -J torture -N "$T_NODES" -n "$T_RANKS" -t $((T_SECONDS / 60 + 5)) -o "$CARGO_OUT/batch") ||
        die "torture: sbatch failed"
    echo "$job" >"$dir/job"
    (($# == 0)) || [[ -z $T_EVERY ]] || torture_disturb "$dir" "$job" &
    disturber=$!
    torture_wait "$dir" "$job"
    wait "$disturber" # by its number: the lab itself may be of this shell
    torture_collect "$dir"
    wait_for 120 "idle nodes after job $job" nodes_idle
}

# A rank's output goes to files on its own node: in the order in which it was written, and part of what a restore brings back.
torture_script() {
    local variable
    # shellcheck disable=SC2016 # the job's variable
    printf '#!/bin/bash\nPATH=$PATH:/usr/local/bin\ncd %q\n' "$CARGO_HOME"
    for variable in "${T_ENV[@]}"; do printf 'export %q\n' "$variable"; done
    # shellcheck disable=SC2016
    printf 'began=$EPOCHREALTIME\nsrun'
    ((T_RANKS <= 4 * T_NODES)) || printf ' -O'
    printf ' %q' "$@" --output="$CARGO_OUT/%t.out" --error="$CARGO_OUT/%t.err" "${T_COMMAND[@]}"
    # shellcheck disable=SC2016 # the job's variables
    printf ' <%q\necho "$? $began $EPOCHREALTIME" >%q\n' "$T_STDIN" "$CARGO_OUT/status"
}

torture_wait() {
    local dir=$1 job=$2
    wait_for 90 "start of job $job" job_started "$job" || true
    wait_for "$T_SECONDS" "end of job $job" job_ended "$job" 2>/dev/null && return
    torture_stands "$job" >"$dir/hung"
    in_ctl scancel "$job"
    wait_for 90 "end of job $job after scancel" job_ended "$job"
}

# Where each rank of a job stands that does not end.
torture_stands() {
    local guest
    in_ctl grlctl status || true
    in_ctl grlctl list "$1" || true
    for guest in "${GUESTS[@]}"; do
        # shellcheck disable=SC2016
        guest_sh "$guest" 'for p in /proc/[0-9]*; do
            [ "$(stat -c %U $p)" = user ] || continue
            printf "%s: rank %s %s %s" "$(hostname)" "$(tr "\0" "\n" <$p/environ | sed -n "s/^SLURM_PROCID=//p")" \
                "${p#/proc/}" "$(tr "\0" " " <$p/cmdline | cut -c -60)"
            for t in $p/task/*; do printf ", %s in %s" "$(sed -n "s/^State:.//p" $t/status)" "$(cat $t/wchan)"; done
            echo
        done; tail -n 3 /var/log/grl/master.log' || true
    done
}

# Rehearsals until the job has ended; in between a committed line with --lines, and one restore in the middle, and a guest's
# move with --migrate.
torture_disturb() {
    local dir=$1 job=$2 middle times=1000000 turn=0
    middle=$(($(now_ms) + $(torture_ms "$dir/../plain") / 2))
    [[ -z $T_LINES && -z $T_MIGRATE ]] || times=$TORTURE_LINE_AFTER
    until job_ended "$job"; do
        job_started "$job" || { sleep 0.1; continue; }
        grl rehearse "$job" --times "$times" --every "$T_EVERY" >>"$dir/rehearsals.json" 2>/dev/null || true
        # A move counts that was made in a silence; the program may not have begun to communicate.
        if [[ -n $T_MIGRATE ]] && ((turn < 2 * T_NODES)) && grl migrate "${GUESTS[turn % T_NODES]}" >"$dir/move.json"; then
            cat "$dir/move.json" >>"$dir/moves.json"
            [[ $(jq .drained "$dir/move.json") != true ]] || turn=$((turn + 1))
        fi
        [[ -n $T_LINES ]] || { sleep 0.1; continue; }
        grl checkpoint "$job" >>"$dir/lines.json" || true
        if [[ -n $T_ROLLBACK && ! -s $dir/restored ]] && (($(now_ms) >= middle)) && torture_has_line "$dir"; then
            grl restore "$job" >"$dir/restore.json" && cp "$dir/restore.json" "$dir/restored"
        fi
    done
}

torture_has_line() { (($(jq -s 'map(select(.phase == "done")) | length' "$1/lines.json") > 0)); }

# What the ranks wrote, out of all guests; a file of a working directory is named after the guest.
torture_collect() {
    local dir=$1 guest file
    mkdir -p "$dir/out"
    for guest in "${GUESTS[@]}"; do
        for file in "${T_COMPARE[@]}"; do
            guest_sh "$guest" "[ ! -f '$CARGO_HOME/$file' ] || cp '$CARGO_HOME/$file' '$CARGO_OUT/$guest.${file//\//_}'"
        done
        GUEST_SH_S=120 guest_sh "$guest" "tar -C $CARGO_OUT -c . | gzip -1 | base64" | base64 -d | tar -C "$dir/out" -xz ||
            die "torture: no output from $guest"
    done
}
