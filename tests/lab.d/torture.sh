# shellcheck shell=bash
# shellcheck disable=SC2034 # what is asked of a run is read by torture_run.sh and torture_report.sh
# Other people's programs: each is run without GRL, then with it while rehearsals or lines go on, and has to do the same.

TORTURE=$LAB/torture

torture_usage() {
    cat <<-E
	usage: tests/lab torture [OPTION...] -- PROGRAM ARGUMENT...
	       tests/lab torture [OPTION...] --list FILE
	  -n RANKS         as many as nodes
	  -N NODES         ${#GUESTS[@]}, or as many as ranks if these are fewer
	  --every MS       a rehearsal every so often; 200
	  --lines          a committed line after every ${TORTURE_LINE_AFTER} rehearsals, too
	  --rollback       and a restore in the middle
	  --migrate        its guests are moved in turn, each twice; a run that is too short for that has failed
	  --runs N         so many runs with GRL after the one without
	  --seconds S      a run that takes longer is cancelled, reported as hung and a failure; 300
	  --ignore REGEX   lines of output that may differ; may be given again
	  --only REGEX     only such lines of output are compared; may be given again
	  --compare FILE   output is this file, too (of the working directory); may be given again
	  --with FILE      file or directory that the program needs; may be given again
	  --stdin FILE     what the program reads; of itself torture's own standard input if that is a file, else nothing
	  --env NAME[=VALUE]  in the program's environment; may be given again
	  --list FILE      a command a line, in quotes as for a shell; options of its own may precede it, ended by --
	PROGRAM, its libraries, its interpreter and files that ARGUMENTs name are brought into the guests by themselves. A
	relative path is below the job's working directory there, any other path is the same. Exit 1 if anything differs.
	Memory of a guest: GRL_LAB_GUEST_MIB (now $GUEST_MIB).
	E
}

TORTURE_LINE_AFTER=8
# One command and what is asked of it; torture_case keeps them in a file.
T_RANKS='' T_NODES='' T_EVERY=200 T_LINES='' T_ROLLBACK='' T_MIGRATE='' T_RUNS=1 T_SECONDS=300 T_LIST='' T_STDIN=''
T_IGNORE=() T_ONLY=() T_COMPARE=() T_WITH=() T_ENV=() T_COMMAND=()

torture() {
    local case failed=0 was_up=''
    torture_options "$@"
    [[ -n $T_LIST || ${#T_COMMAND[@]} -gt 0 ]] || { torture_usage >&2; exit 64; }
    rm -rf "$TORTURE"
    mkdir -p "$TORTURE"
    [[ -n $T_STDIN || ! -f /dev/stdin ]] || { cat >"$TORTURE/stdin" && T_STDIN=$TORTURE/stdin; }
    build
    torture_cases
    ! lab_is_up || was_up=yes
    up_unless_ready
    torture_head
    for case in "$TORTURE"/*/case; do
        # shellcheck source=/dev/null
        (source "$case" && torture_program "${case%/case}") </dev/null || failed=1
    done
    [[ -n $was_up ]] || down
    say "torture: outputs and reports are in $TORTURE"
    ((failed == 0))
}

torture_options() {
    local option
    while (($#)); do
        option=$1
        shift
        case $option in
            --) T_COMMAND=("$@"); break ;;
            --lines) T_LINES=yes; continue ;;
            --rollback) T_LINES=yes T_ROLLBACK=yes; continue ;;
            --migrate) T_MIGRATE=yes; continue ;;
            -h | --help) torture_usage; exit ;;
        esac
        (($#)) || { torture_usage >&2; exit 64; }
        case $option in
            -n | -N | --every | --runs | --seconds)
                [[ $1 =~ ^[1-9][0-9]{0,6}$ ]] || die "torture: $option wants a number, not '$1'" ;;&
            -n) T_RANKS=$1 ;;
            -N) T_NODES=$1 ;;
            --every) T_EVERY=$1 ;;
            --runs) T_RUNS=$1 ;;
            --seconds) T_SECONDS=$1 ;;
            --ignore) T_IGNORE+=("$1") ;;
            --only) T_ONLY+=("$1") ;;
            --compare) T_COMPARE+=("$1") ;;
            --with) T_WITH+=("$1") ;;
            --stdin) T_STDIN=$1 ;;
            --env) T_ENV+=("$1") ;;
            --list) T_LIST=$1 ;;
            *) torture_usage >&2; exit 64 ;;
        esac
        shift
    done
}

# The commands, one directory each, and the cargo of them all.
torture_cases() {
    local line number=0
    local -a words
    cargo_begin
    if [[ -z $T_LIST ]]; then
        torture_case 1
    else
        [[ -f $T_LIST ]] || die "torture: no such file: $T_LIST"
        while IFS= read -r line || [[ -n $line ]]; do
            [[ ! $line =~ ^[[:space:]]*(#|$) ]] || continue
            mapfile -d '' -t words < <(xargs printf '%s\0' <<<"$line")
            [[ ${words[0]} == -* ]] || words=(-- "${words[@]}")
            number=$((number + 1))
            # Its options count for this command alone.
            (torture_options "${words[@]}" && torture_case "$number") || exit
        done <"$T_LIST"
        ((number > 0)) || die "torture: no command in $T_LIST"
    fi
    cargo_end
}

torture_case() {
    local file variable stdin=/dev/null
    local -a environment=()
    ((${#T_COMMAND[@]})) || die "torture: options without a command"
    cargo_command "${T_COMMAND[@]}"
    T_COMMAND[0]=$(torture_program_word "${T_COMMAND[0]}")
    for file in "${T_WITH[@]}"; do cargo_file "$file"; done
    if [[ -n $T_STDIN ]]; then
        [[ -f $T_STDIN ]] || die "torture: no such file: $T_STDIN"
        stdin=$CARGO_STDIN.$1
        cargo_add put "$(realpath "$T_STDIN")" "$stdin"
    fi
    T_STDIN=$stdin
    for variable in "${T_ENV[@]}" ${LD_LIBRARY_PATH:+LD_LIBRARY_PATH}; do
        [[ $variable == *=* ]] || variable=$variable=${!variable-}
        environment+=("$variable")
    done
    T_ENV=("${environment[@]}")
    T_RANKS=${T_RANKS:-${T_NODES:-${#GUESTS[@]}}}
    T_NODES=${T_NODES:-$((T_RANKS < ${#GUESTS[@]} ? T_RANKS : ${#GUESTS[@]}))}
    ((T_NODES <= ${#GUESTS[@]})) || die "torture: there are ${#GUESTS[@]} nodes"
    ((T_RANKS >= T_NODES)) || die "torture: fewer ranks than nodes"
    mkdir "$TORTURE/$(printf %03d "$1")"
    declare -p "${!T_@}" | sed 's/^declare -/declare -g -/' >"$TORTURE/$(printf %03d "$1")/case"
}

# A program found by its name elsewhere than where a guest's user looks is called by its path.
torture_program_word() {
    local path
    path=$(cargo_found "$1")
    case $path in
        /usr/bin/* | /bin/*) echo "$1" ;;
        *) echo "$path" ;;
    esac
}

# torture_program DIRECTORY: 1 when a run with GRL differs from the one without.
torture_program() {
    local dir=$1 run bad=0
    torture_run "$dir/plain"
    if [[ -f $dir/plain/hung ]]; then
        torture_row "$dir" plain - "hung without GRL"
        return 1
    fi
    for ((run = 1; run <= T_RUNS; run++)); do
        torture_run "$dir/run$run" --grl-checkpoint
        torture_judge "$dir" "run$run" || bad=1
    done
    return "$bad"
}

torture_judge() {
    local dir=$1 run=$2 verdict=same bad=0 same
    same=$(torture_same "$dir" "$run")
    if [[ -f $dir/$run/hung ]]; then
        verdict="HUNG" bad=1
        ! torture_moves "$dir/$run" || verdict="TOO SLOW"
    elif [[ $same == no ]]; then
        verdict="DIFFERS" bad=1
    elif [[ $same == part ]]; then
        verdict="same, but for $(torture_varying "$dir") lines that vary without GRL, too"
    fi
    if ((bad == 0 && $(torture_count "$dir/$run" 'done') == 0)); then
        if (($(torture_count "$dir/$run" failed) > 0)); then
            verdict="NEVER SILENT" bad=1
        else
            verdict+=", too short for a rehearsal"
        fi
    fi
    if [[ -n $T_ROLLBACK && $bad == 0 && ! -s $dir/$run/restored ]]; then
        if [[ -f $dir/$run/restore.json ]]; then verdict="NOT RESTORED" bad=1; else verdict+=", too short for a rollback"; fi
    fi
    if [[ -n $T_MIGRATE && $bad == 0 ]]; then
        verdict+=", $(torture_moved "$dir/$run") moves"
        (($(torture_moved "$dir/$run") >= 2 * T_NODES)) || { verdict+=": too few" bad=1; }
    fi
    torture_row "$dir" "$run" "$same" "$verdict"
    torture_reasons "$dir/$run"
    [[ ! -f $dir/$run/hung ]] || sed 's/^/    /' "$dir/$run/hung"
    ((bad == 0)) || torture_diff "$dir" "$run" | tee "$dir/$run/diff" | sed -e 's/^/    /' -e 60q
    return "$bad"
}
