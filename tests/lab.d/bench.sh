# shellcheck shell=bash
# shellcheck disable=SC2034 # natives.sh and torture_run.sh read what is set here
# Measurements in the lab, each beside its baseline in the same run: medians, the spread from the 10th to the 90th
# percentile, the ratio to the baseline, and whether the goal of docs/evidence/performance.md is met.

BENCH_JSON=
BENCH_ROUNDS=${GRL_LAB_BENCH_ROUNDS:-20}

# bench [NAME...] [--json]
bench() {
    local word
    local -a names=()
    for word; do
        case $word in
            --json) BENCH_JSON=1 ;;
            gate | armci | nwchem | drain | resume | stall | line | migrate | endurance) names+=("$word") ;;
            *) die "bench: no benchmark '$word' (gate, armci, nwchem, drain, resume, stall, line, migrate, endurance)" ;;
        esac
    done
    ((${#names[@]})) || names=(gate armci drain resume stall line migrate endurance)
    build
    [[ -n $BENCH_JSON ]] || printf '%-28s %10s %-6s %10s %7s %18s %8s  %s\n' name value unit baseline ratio 'p10 to p90' goal met
    for word in "${names[@]}"; do "bench_$word"; done
}

# Without images, so on native nodes unless GRL_LAB_NODES says otherwise: emulation would hide what is measured.
bench_up_native() {
    NODES=${GRL_LAB_NODES:-native}
    up
}

bench_up_guests() {
    NODES=guests
    up
}

# bench_row NAME UNIT GOAL VALUES [BASELINE_VALUES]: values are JSON arrays; the goal bounds the ratio, or is null.
bench_row() {
    jq -cn --arg name "$1" --arg unit "$2" --argjson goal "$3" --argjson values "$4" --argjson baseline "${5:-[]}" '
        def percentile($p): sort | if length == 0 then null else .[((length - 1) * $p) | round] end;
        def short: if . == null then null else . * 1000 | round / 1000 end;
        ($values | percentile(0.5)) as $v | ($baseline | percentile(0.5)) as $b
        | (if $b == null or $b == 0 then null else $v / $b end) as $ratio
        | {name: $name, unit: $unit, value: ($v | short), baseline: ($b | short), ratio: ($ratio | short),
           spread: [($values | percentile(0.1) | short), ($values | percentile(0.9) | short)], goal: $goal,
           met: (if $goal == null or $ratio == null then null else $ratio <= $goal end)}' | bench_print
}

bench_print() {
    if [[ -n $BENCH_JSON ]]; then
        cat
    else
        jq -r '[.name, .value, .unit, .baseline // "-", .ratio // "-", "\(.spread[0]) to \(.spread[1])", .goal // "-",
                (if .met == null then "-" elif .met then "yes" else "no" end)] | map(tostring) | join("\u0001")' |
            while IFS=$'\1' read -r -a cell; do
                printf '%-28s %10s %-6s %10s %7s %18s %8s  %s\n' "${cell[@]}"
            done
    fi
}

# The fast path of an intercepted call against an empty one, on this machine itself.
bench_gate() {
    local report=$LAB/log/bench-gate.json
    mkdir -p "$LAB/log"
    build_step "$LAB/build.log" make -C "$BUILD" tests/bench/bench_gate
    "$BUILD/tests/bench/bench_gate" --benchmark_repetitions=11 --benchmark_min_time=0.1 --benchmark_format=json >"$report" 2>/dev/null
    bench_row "gate: one call" ns null "$(bench_gate_times one_sided "$report")" "$(bench_gate_times empty "$report")"
}

bench_gate_times() {
    jq -c --arg name "$1" '[.benchmarks[] | select(.run_type == "iteration" and (.name | ascii_downcase | contains($name))) | .cpu_time]' "$2"
}

# A line's phases while a job communicates, against a bare collecting fence and the VMM's own stop-and-copy.
bench_line() {
    local fence job reports=$LAB/log/bench-line.json bare=$LAB/log/bench-bare.json restores=$LAB/log/bench-restores.json i
    vmm_bare_programs
    bench_up_guests
    say "bench: bare fences of ${#GUESTS[@]} ranks"
    fence=$(bench_fences "${#GUESTS[@]}" "${#GUESTS[@]}")

    say "bench: $BENCH_ROUNDS lines"
    job=$(bench_job "${#GUESTS[@]}" "${#GUESTS[@]}" /opt/grl/pgas_demo --iterations 1000000 --pause-us 20000)
    wait_ready "$job"
    # The first ones open files and connections for the first time.
    for i in 1 2; do in_ctl grlctl --json checkpoint "$job" >/dev/null; done
    for ((i = 0; i < BENCH_ROUNDS; i++)); do in_ctl grlctl --json checkpoint "$job"; done | jq -c . >"$reports"

    ! declare -F vmm_bare_restores >/dev/null || bench_our_restores "$job" >"$restores"
    say "bench: $BENCH_ROUNDS bare saves of the same guests"
    vmm_bare_saves >"$bare"
    if declare -F vmm_bare_restores >/dev/null; then
        say "bench: $BENCH_RESTORES restores by $VMM_ALONE alone"
        vmm_bare_restores >"$LAB/log/bare-restores.json"
    fi
    bench_line_rows "$reports" "$bare" "$fence"
    down
}

BENCH_RESTORES=${GRL_LAB_BENCH_RESTORES:-5}

# bench_our_restores JOB: how long its guests' loading takes, a number for each of the rollbacks.
bench_our_restores() {
    local i
    say "bench: $BENCH_RESTORES restores"
    for ((i = 0; i < BENCH_RESTORES; i++)); do
        wait_ready "$1"
        in_ctl grlctl --json restore "$1"
    done | jq '[.stages, .stage_ms] | transpose | map(select(.[0] == "restore"))[0][1]'
}

# bench_job NODES RANKS PROGRAM ARGS: a protected job; prints its number. Guests have one processor each, so ranks share it.
bench_job() {
    local nodes=$1 ranks=$2
    shift 2
    submit -N "$nodes" -n "$ranks" --overcommit -t 30 -o /tmp/bench-%j.out <<-E
	#!/bin/bash
	srun -N $nodes -n $ranks --overcommit --grl-checkpoint $*
	E
}

bench_output() {
    wait_for 300 "end of job $1" job_ended "$1"
    guest_sh "${GUESTS[0]}" cat "/tmp/bench-$1.out" | grep '^{'
}

# bench_fences NODES RANKS [BUSY]: milliseconds of bare collecting fences, each from the moment at which all ranks are woken to
# the end of the last; from rest, as drains are. BUSY is 1 where the ranks compute meanwhile. Slurm keeps lines of up to 1024 bytes whole.
bench_fences() {
    local one_clock=0
    ! nodes_are_native || one_clock=1
    bench_output "$(bench_job "$1" "$2" /opt/grl/fence_bench 100 20000 "${3:-0}" "$one_clock")" |
        jq -cs 'map(.fence_us) | transpose | map(max / 1000)'
}

bench_line_rows() {
    local pauses fence=$3
    pauses=$(jq -cs 'map(.pause_ms)' "$2")
    bench_row "line: request to silence" ms 5 "$(jq -cs 'map(.drain_ms)' "$1")" "$fence"
    bench_row "line: silence to last cut" ms null \
        "$(jq -cs 'map([.phases[] | select(.phase == "silence" or .phase == "capture") | .ms] | add)' "$1")"
    bench_row "line: last cut to release" ms null "$(jq -cs 'map([.phases[] | select(.phase == "release") | .ms] | add)' "$1")"
    bench_row "line: pause of the job" ms "$VMM_PAUSE_GOAL" "$(jq -cs 'map(.pause_ms)' "$1")" "$pauses"
    bench_row "line: a guest stands still" ms null "$(jq -cs 'map(.guests[].paused_ms)' "$1")" "$pauses"
    bench_row "line: commit" ms null "$(jq -cs 'map(.commit_ms)' "$1")"
    bench_row "line: images" MiB "$VMM_IMAGES_GOAL" "$(jq -cs 'map([.guests[].stored_bytes] | add / 1048576)' "$1")" \
        "$(jq -cs 'map(.bytes / 1048576)' "$2")"
    bench_row "line: memory to storage" MiB/s null \
        "$(jq -cs 'map(([.guests[].raw_bytes] | add / 1048576) / (.commit_ms / 1000))' "$1")"
    ! declare -F vmm_bare_restores >/dev/null ||
        bench_row "line: loading of the guests" ms 1.1 "$(jq -cs . "$LAB/log/bench-restores.json")" "$(jq -cs . "$LAB/log/bare-restores.json")"
}

BENCH_PAIRS=${GRL_LAB_BENCH_PAIRS:-1000} # of calls

# Operations with the gate and without, in pairs, between two nodes: ARMCI's where MPI has none, and MPI's.
bench_armci() {
    bench_up_native
    plugstack mpi=none
    say "bench: paired calls of ARMCI"
    bench_pairs "$(bench_job 2 2 /opt/grl/armci_bench "$BENCH_PAIRS")"
    plugstack
    say "bench: paired calls of MPI"
    bench_pairs "$(bench_job 2 2 /opt/grl/mpi_bench "$BENCH_PAIRS")"
    down
}

bench_pairs() {
    local row
    bench_output "$1" | while read -r row; do
        bench_row "armci: $(jq -r '"\(.operation) \(.bytes) B"' <<<"$row")" us 1.01 \
            "$(jq -c .with <<<"$row")" "$(jq -c .without <<<"$row")"
    done
}

# Debian's NWChem, unmodified, protected and not, one after the other: the wall time that it reports itself.
BENCH_NWCHEM_PAIRS=${GRL_LAB_BENCH_NWCHEM_PAIRS:-7}
bench_nwchem() {
    local input=$LAB/cargo/scf.nw i way
    type -P nwchem.openmpi >/dev/null || die "bench: nwchem is not installed (apt-get install nwchem-openmpi)"
    mkdir -p "$LAB/cargo"
    bench_nwchem_input >"$input"
    rm -rf "$TORTURE"
    mkdir -p "$TORTURE"
    torture_options -n 2 -N 2 --seconds 900 --with /usr/share/nwchem \
        --env NWCHEM_BASIS_LIBRARY=/usr/share/nwchem/libraries/ -- nwchem.openmpi "$input"
    cargo_begin
    torture_case 1
    cargo_end
    # shellcheck source=/dev/null
    source "$TORTURE/001/case"
    T_EVERY=''
    bench_up_native
    # The first one reads its files for the first time.
    for ((i = 0; i <= BENCH_NWCHEM_PAIRS; i++)); do
        # In turn, so that drift falls on both alike.
        for way in $(((i % 2) == 0)) $(((i % 2) == 1)); do
            if ((way)); then torture_run "$TORTURE/with$i" --grl-checkpoint; else torture_run "$TORTURE/without$i"; fi
        done
        say "bench: pair $i: $(bench_nwchem_s "$TORTURE/with$i") s with, $(bench_nwchem_s "$TORTURE/without$i") s without"
    done
    bench_row "nwchem: SCF" s 1.02 "$(bench_nwchem_times with)" "$(bench_nwchem_times without)"
    down
}

bench_nwchem_input() {
    cat <<-E
	start scf
	memory total 200 mb
	geometry units angstrom
	  O  0.000  0.000  0.117
	  H  0.000  0.757 -0.470
	  H  0.000 -0.757 -0.470
	  O  0.000  2.900  0.117
	  H  0.000  3.657 -0.470
	  H  0.000  2.143 -0.470
	  O  2.900  0.000  0.117
	  H  2.900  0.757 -0.470
	  H  2.900 -0.757 -0.470
	  O  2.900  2.900  0.117
	  H  2.900  3.657 -0.470
	  H  2.900  2.143 -0.470
	end
	basis
	  * library cc-pvdz
	end
	scf
	  direct
	  thresh 1e-10
	end
	task scf energy
	E
}

bench_nwchem_s() { sed -n 's/.*Total times .*wall: *\([0-9.]*\)s.*/\1/p' "$1"/out/0.out; }

bench_nwchem_times() {
    local i
    for ((i = 1; i <= BENCH_NWCHEM_PAIRS; i++)); do bench_nwchem_s "$TORTURE/$1$i"; done | jq -cs .
}

# From the opening of the gates to the first one-sided operation complete after it, on every rank; beside a usual one.
bench_resume() {
    local shape nodes ranks job report
    bench_up_native
    for shape in "${BENCH_SHAPES[@]}"; do
        nodes=${shape%:*} ranks=${shape#*:}
        job=$(bench_job "$nodes" "$ranks" /opt/grl/resume_bench $((20 + BENCH_ROUNDS / 2)) 1000000)
        wait_ready "$job"
        in_ctl grlctl --json rehearse "$job" --times "$BENCH_ROUNDS" --every 200 >/dev/null
        report=$(bench_output "$job")
        bench_row "resume: $ranks on $nodes" ms null "$(jq -cs 'map(.resume_us[] / 1000)' <<<"$report")" \
            "$(jq -cs 'map(.usual_us / 1000)' <<<"$report")"
    done
    down
}

# How long the slowest rank's communication stands still after a capture: with the drain, from the opening of the gates;
# without, the longest operations while QEMU alone stops, saves and starts the same guests. By the guests' clocks, which
# stand while they do.
BENCH_STALLS=${GRL_LAB_BENCH_STALLS:-10}
bench_stall() {
    local job drained bare i n=${#GUESTS[@]}
    vmm_bare_programs
    bench_up_guests
    job=$(bench_job "$n" "$n" /opt/grl/resume_bench $((40 + 6 * BENCH_STALLS)) 1000000)
    wait_ready "$job"
    for ((i = 0; i < BENCH_STALLS; i++)); do in_ctl grlctl --json checkpoint "$job" >/dev/null; done
    drained=$(bench_output "$job" | jq -cs 'map(.resume_us) | transpose | map(max / 1000)')
    job=$(bench_job "$n" "$n" /opt/grl/resume_bench $((30 + 3 * BENCH_STALLS)) 20000)
    wait_ready "$job"
    BENCH_ROUNDS=$BENCH_STALLS vmm_bare_saves >/dev/null
    bare=$(bench_output "$job" | jq -cs --argjson n "$BENCH_STALLS" \
        'map(.long_us | sort | reverse | .[:$n]) | transpose | map(map(values) | max / 1000)')
    bench_row "stall: after a capture" ms null "$drained" "$bare"
    down
}

# A guest to and fro between two hosts, by us and by the VMM alone with its own settings: how long the network misses it. Then a
# host with all guests is emptied. Half of what a guest has above the usual is filled with what does not compress.
BENCH_MOVES=${GRL_LAB_BENCH_MOVES:-10}
BENCH_EVACUATIONS=${GRL_LAB_BENCH_EVACUATIONS:-3}
read -r -a BENCH_GUESTS_MIB <<<"${GRL_LAB_BENCH_GUESTS_MIB:-$VMM_BENCH_GUESTS_MIB}"

bench_migrate() {
    local load mib
    ENCRYPT_MOVES=false # as the VMM alone
    vmm_bare_programs
    build_step "$LAB/build.log" make -C "$BUILD" tests/bench/heartbeat
    for mib in "${BENCH_GUESTS_MIB[@]}"; do
        GUEST_MIB=$mib
        bench_up_guests
        ((mib <= VMM_GUEST_MIB)) || GUEST_SH_S=180 guest_sh g1 "head -c $(((mib - VMM_GUEST_MIB) / 2))m /dev/urandom >/run/filled"
        bench_migrate_rows "idle, $mib MiB"
        load=$(bench_job "${#GUESTS[@]}" "${#GUESTS[@]}" /opt/grl/pgas_demo --iterations 1000000 --pause-us 1000)
        wait_ready "$load"
        bench_migrate_rows "communicating, $mib MiB" "$load"
        ((mib > VMM_GUEST_MIB)) || bench_evacuation
        cancel_job "$load"
        down
    done
}

# bench_migrate_rows WHAT [JOB]: the job is ready for a silence before each of our moves.
bench_migrate_rows() {
    local ours='' bare='' phase i whose
    say "bench: $BENCH_MOVES moves of g1, and as many by $VMM_ALONE alone ($1)"
    # Each as often to the one host as to the other, and in turn, so that what changes with time is in both.
    for ((i = 0; i < BENCH_MOVES; i++)); do
        for whose in $(((i % 2) == 0)) $(((i % 2) == 1)); do
            if ((whose)); then
                [[ -z ${2:-} ]] || wait_ready "$2"
                ours+=$(bench_move bench_our_move)
            else
                bare+=$(bench_move vmm_bare_move)
            fi
        done
    done
    bench_row "migrate: downtime, $1" ms "$VMM_DOWNTIME_GOAL" "$(jq -cs 'map(.longest_ms)' <<<"$ours")" "$(jq -cs 'map(.longest_ms)' <<<"$bare")"
    bench_row "migrate: total, $1" ms null "$(jq -cs 'map(.total_ms)' <<<"$ours")" "$(jq -cs 'map(.total_ms)' <<<"$bare")"
    bench_row "migrate: bytes, $1" MiB null "$(jq -cs 'map(.bytes / 1048576)' <<<"$ours")" \
        "$(jq -cs 'map(.bytes / 1048576)' <<<"$bare")"
    for phase in precopy drain switchover release; do
        bench_row "migrate: $phase, $1" ms null "$(jq -cs --arg p "$phase" 'map([.phases[] | select(.phase == $p) | .ms] | add)' <<<"$ours")"
    done
}

# All guests of the last host go, in one go: by us beside a job that communicates, and by the VMM alone.
bench_evacuation() {
    local i began host=${HOSTS[-1]} ours='' bare=''
    declare -F vmm_bare_evacuation >/dev/null || return 0
    for ((i = 0; i < BENCH_EVACUATIONS; i++)); do
        bench_gather "$host"
        began=$(now_ms)
        grl evacuate "$host" >/dev/null
        ours+="$(($(now_ms) - began)) "
        grl reopen "$host" >/dev/null
        bench_gather "$host"
        bare+="$(vmm_bare_evacuation "$host") "
    done
    bench_row "migrate: ${#GUESTS[@]} guests off a host" ms null "$(jq -cs . <<<"$ours")" "$(jq -cs . <<<"$bare")"
}

# bench_gather HOST: all guests there.
bench_gather() {
    local guest
    for guest in "${GUESTS[@]}"; do
        [[ $(guest_host "$guest") == "$1" ]] || grl migrate "$guest" "$1" >/dev/null
    done
}

# bench_move HOW: one move of g1 as a JSON object, with what the network saw of it.
bench_move() {
    local from to beats=$LAB/log/heartbeat.json
    from=$(guest_host g1)
    to=$([[ $from == "${HOSTS[-1]}" ]] && echo h1 || echo "${HOSTS[-1]}")
    {
        sleep 1
        "$1" "$from" "$to" | jq -c . >"$LAB/log/move.json"
        sleep 1
    } | in_ctl "$BUILD/tests/bench/heartbeat" "$(cluster_address g1)" 600 "$VMM_BEAT_MS" >"$beats"
    jq -cse 'add | select(.total_ms)' "$LAB/log/move.json" "$beats" # fails if it was none
}

bench_our_move() { grl migrate g1 "$2" | jq '{total_ms, bytes: .sent_bytes, phases: .line.phases}'; }

read -r -a BENCH_SHAPES <<<"${GRL_LAB_BENCH_SHAPES:-1:2 2:4 3:8 3:16 3:32}" # nodes:ranks

# From the store in the line page to the proof, on the slowest node; by what the ranks do meanwhile. Where they compute, or poll
# for messages, those of the bare fence compute, too.
bench_drain() {
    local shape nodes ranks load job
    local -A fences loads=(
        [idle]="/opt/grl/pgas_demo --iterations 1000000 --pause-us 30000000"
        [communicating]="/opt/grl/pgas_demo --iterations 1000000"
        [computing]="/opt/grl/pgas_demo --iterations 1000000 --compute-ms 30000"
    )
    bench_up_native
    for shape in "${BENCH_SHAPES[@]}"; do
        nodes=${shape%:*} ranks=${shape#*:}
        say "bench: $ranks ranks on $nodes nodes"
        fences[idle]=$(bench_fences "$nodes" "$ranks")
        fences[computing]=$(bench_fences "$nodes" "$ranks" 1)
        fences[communicating]=${fences[computing]}
        for load in idle communicating computing; do
            # shellcheck disable=SC2086
            job=$(bench_job "$nodes" "$ranks" ${loads[$load]})
            wait_ready "$job"
            [[ $load != idle ]] || wait_for 120 "rest of the ranks" ranks_rest "$nodes"
            in_ctl grlctl --json rehearse "$job" --times 2 --every 100 >/dev/null
            bench_row "drain: $ranks on $nodes, $load" ms 3 "$(in_ctl grlctl --json rehearse "$job" --times "$BENCH_ROUNDS" --every 100 |
                jq -cs 'map(.silence_ms | select(. != null))')" "${fences[$load]}"
            cancel_job "$job"
        done
    done
    down
}

# ranks_rest NODES: all are in their pause, which a barrier precedes (230 is clock_nanosleep).
ranks_rest() {
    local guest
    for guest in "${GUESTS[@]:0:$1}"; do
        # shellcheck disable=SC2016
        guest_sh "$guest" 'for pid in $(pidof pgas_demo); do read -r call _ <"/proc/$pid/syscall"; [ "$call" = 230 ] || exit 1; done' ||
            return 1
    done
}

BENCH_LINES=${GRL_LAB_BENCH_LINES:-1000}

# So many rehearsals of one job: the last hundred against the first, and what processes hold after them against before.
bench_endurance() {
    local job reports=$LAB/log/bench-endurance.json what before after program
    bench_up_guests
    job=$(bench_job "${#GUESTS[@]}" "${#GUESTS[@]}" /opt/grl/pgas_demo --iterations 1000000 --pause-us 20000)
    wait_ready "$job"
    in_ctl grlctl --json rehearse "$job" --times 20 --every 20 >/dev/null
    before=$(bench_holdings)
    say "bench: $BENCH_LINES rehearsals"
    in_ctl grlctl --json rehearse "$job" --times "$BENCH_LINES" --every 20 >"$reports"
    after=$(bench_holdings)
    bench_row "endurance: drain" ms 1.2 "$(jq -cs 'map(.drain_ms | values) | .[-100:]' "$reports")" \
        "$(jq -cs 'map(.drain_ms | values) | .[:100]' "$reports")"
    bench_row "endurance: silences" "" null "$(jq -cs '[map(select(.phase == "done")) | length]' "$reports")" "[$BENCH_LINES]"
    for program in pgas_demo grl-master; do
        for what in KiB files threads; do
            bench_row "endurance: $program" "$what" 1.05 "$(jq -c "[.\"$program\".$what]" <<<"$after")" \
                "$(jq -c "[.\"$program\".$what]" <<<"$before")"
        done
    done
    cancel_job "$job"
    down
}

# What the first guest's rank and master hold: memory, descriptors, threads.
bench_holdings() {
    # shellcheck disable=SC2016
    guest_sh "${GUESTS[0]}" 'for program in pgas_demo grl-master; do
        pid=$(pidof $program | cut -d " " -f 1)
        memory=$(sed -n "s/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p" /proc/$pid/status)
        threads=$(sed -n "s/^Threads:[^0-9]*\([0-9]*\)/\1/p" /proc/$pid/status)
        echo "{\"$program\": {\"KiB\": $memory, \"files\": $(ls /proc/$pid/fd | wc -l), \"threads\": $threads}}"
    done' | jq -cs add
}
