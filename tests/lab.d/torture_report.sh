# shellcheck shell=bash
# What came of the runs: a row each, with what differed and why lines were aborted.

TORTURE_ROW='%-36s %5s %7s %6s %-4s %13s %13s %7s  %s\n'

torture_head() {
    # shellcheck disable=SC2059
    printf "$TORTURE_ROW" program ranks seconds exit same rehearsals 'drain ms' lines verdict
    # shellcheck disable=SC2059
    printf "$TORTURE_ROW" '' xnodes '' '' '' done/off/abort median/max '' ''
}

# torture_row DIRECTORY RUN SAME VERDICT
torture_row() {
    local dir=$1 run=$2 name same=$3
    name="${T_COMMAND[0]##*/} ${T_COMMAND[*]:1}"
    # shellcheck disable=SC2059
    printf "$TORTURE_ROW" "${name:0:36}" "${T_RANKS}x$T_NODES" "$(torture_seconds "$dir/plain")/$(torture_seconds "$dir/$run")" \
        "$(torture_exit "$dir/plain")/$(torture_exit "$dir/$run")" "$same" \
        "$(torture_count "$dir/$run" 'done')/$(torture_count "$dir/$run" off)/$(torture_count "$dir/$run" aborted)" \
        "$(torture_drains "$dir/$run")" "$(torture_lines "$dir/$run")" "$4"
}

# The exit status of srun, or - where it did not come to one.
torture_exit() {
    local code=-
    [[ ! -s $1/out/status ]] || read -r code _ <"$1/out/status"
    echo "$code"
}

torture_ms() {
    local began ended
    [[ -s $1/out/status ]] || { echo 0; return; }
    read -r _ began ended <"$1/out/status"
    echo $(((${ended//[!0-9]/} - ${began//[!0-9]/}) / 1000))
}

torture_seconds() { printf '%d' $((($(torture_ms "$1") + 500) / 1000)); }

# torture_count DIRECTORY done|off|aborted|failed, of the rehearsals.
torture_count() {
    local what
    case $2 in
        'done') what='.phase == "done"' ;;
        off) what='.error.kind == 4' ;;
        aborted) what='.error.kind == 1' ;;
        # For another reason than that the program was about to end.
        failed) what='.error.kind == 1 and (.error.why | test("finali[sz]|is dead|is over") | not)' ;;
    esac
    if [[ -s $1/rehearsals.json ]]; then jq -s "map(select($what)) | length" "$1/rehearsals.json"; else echo 0; fi
}

# Did its proofs count more operations to the end? Then the run needs more seconds or fewer rehearsals.
torture_moves() {
    [[ -s $1/rehearsals.json ]] || return 1
    jq -se 'map(select(.phase == "done") | .proof.issued) | length > 0 and .[length * 9 / 10 | floor] < .[-1]' \
        "$1/rehearsals.json" >/dev/null
}

torture_drains() {
    [[ -s $1/rehearsals.json ]] || { echo -; return; }
    jq -rs 'map(select(.phase == "done") | .drain_ms) | sort
        | if length == 0 then "-" else map(. * 10 | round / 10) | "\(.[length / 2 | floor])/\(.[-1])" end' "$1/rehearsals.json"
}

# Committed lines / others; r: restored.
torture_lines() {
    [[ -s $1/lines.json ]] || { echo -; return; }
    echo "$(jq -rs 'map(.phase == "done") | "\(map(select(.)) | length)/\(map(select(. | not)) | length)"' "$1/lines.json")$(
        [[ ! -s $1/restored ]] || echo r)"
}

# Moves in the silence of the job.
torture_moved() {
    [[ -s $1/moves.json ]] || { echo 0; return; }
    jq -s 'map(select(.line.phase == "done" and .drained)) | length' "$1/moves.json"
}

torture_reasons() {
    cat "$1"/{rehearsals,lines,moves,restore}.json 2>/dev/null |
        jq -r 'select(.error.kind == 1) | .error | "    aborted: \(.what): \(.where): \(.why)"' | sort | uniq -c | sort -rn | head -n 5
}

# torture_text DIRECTORY TO: the output without what may differ: ignored lines, process ids as Open MPI prints them, and
# addresses.
torture_text() {
    local file pattern
    local -a ignore=(-e "\$.") only=(-e '')
    for pattern in "${T_IGNORE[@]}"; do ignore+=(-e "$pattern"); done
    ((${#T_ONLY[@]} == 0)) || only=()
    for pattern in "${T_ONLY[@]}"; do only+=(-e "$pattern"); done
    rm -rf "$2"
    mkdir -p "$2"
    for file in "$1"/out/*; do
        case ${file##*/} in
            batch | status | '*') continue ;;
        esac
        sed -E -e 's/\[(g[0-9]):[0-9]*\]/[\1:pid]/g' -e 's/^( *PID: *)[0-9]+$/\1pid/' -e 's/0x[0-9a-f]{8,16}/0xaddress/g' "$file" |
            { grep -avE "${ignore[@]}" || true; } | { grep -aE "${only[@]}" || true; } >"$2/${file##*/}"
    done
}

torture_diff() {
    torture_text "$1/plain" "$1/plain/text"
    torture_text "$1/$2" "$1/$2/text"
    (cd "$1" && diff -Naur plain/text "$2/text")
}

# torture_same DIRECTORY RUN: prints yes, no, or part where all that two or three runs without GRL have in common is there,
# in its order, and not many more lines than there are.
torture_same() {
    local dir=$1 run=$2 again
    [[ $(torture_exit "$dir/plain") == "$(torture_exit "$dir/$run")" ]] || { echo no; return; }
    ! torture_diff "$dir" "$run" >/dev/null || { echo yes; return; }
    for again in plain2 plain3; do
        [[ -d $dir/$again ]] || { torture_run "$dir/$again" && torture_text "$dir/$again" "$dir/$again/text"; } >&2
        [[ $(torture_exit "$dir/plain") == "$(torture_exit "$dir/$again")" ]] || break
        torture_in_common "$dir"
        ! torture_has_all "$dir" "$run" || { echo part; return; }
    done
    echo no
}

torture_in_common() {
    local file again
    rm -rf "$1/common"
    cp -r "$1/plain/text" "$1/common"
    for again in "$1"/plain[23]/text; do
        for file in "$1"/common/*; do
            diff -aN --minimal --old-line-format= --new-line-format= --unchanged-line-format=%L "$file" "$again/${file##*/}" >"$file.new" || true
            mv "$file.new" "$file"
        done
    done
}

torture_has_all() {
    local file name
    [[ "$(cd "$1/common" && ls)" == "$(cd "$1/$2/text" && ls)" ]] || return 1
    for file in "$1/$2"/text/*; do
        name=${file##*/}
        (($(wc -l <"$file") <= 2 * $(wc -l <"$1/plain/text/$name") + 10)) || return 1
        [[ -z $(diff -aN --minimal --old-line-format=%L --new-line-format= --unchanged-line-format= "$1/common/$name" "$file") ]] ||
            return 1
    done
}

# How many lines of the first run without GRL are not in the others.
torture_varying() { echo $(($(cat "$1"/plain/text/* | wc -l) - $(cat "$1"/common/* | wc -l))); }
