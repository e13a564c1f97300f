# shellcheck shell=bash
# Every test: unit tests, some of them under the compiler's sanitizers, the fuzz harnesses, the static checks, the search of
# the protocol's model, `make distcheck`, and the bats files that need the lab up. The last line is the count of the tests that ran.

CHECK_PASSED=0
CHECK_FAILED=0
CHECK_SKIPPED=0

# Not in the lab's own directories: `up` clears those, and the lab's tests call it.
CHECK_REPORTS=$LAB/check

# check [unit|sanitize|fuzz|static|model|distcheck|lab|xen]...: all of them by default; under Xen, only those that differ there.
check() {
    local part began
    # shellcheck disable=SC2086
    (($#)) || set -- $VMM_CHECKS
    build
    rm -rf "$CHECK_REPORTS"
    mkdir -p "$CHECK_REPORTS"
    for part in "$@"; do
        began=$(now_ms)
        say "check: $part"
        case $part in
            unit | sanitize | fuzz | static | model | distcheck | lab | xen) "check_$part" ;;
            *) die "check: no part '$part' (unit, sanitize, fuzz, static, model, distcheck, lab, xen)" ;;
        esac
        say "check: $part took $((($(now_ms) - began) / 1000)) s"
    done
    echo "$CHECK_PASSED passed, $CHECK_FAILED failed, $CHECK_SKIPPED skipped"
    ((CHECK_FAILED == 0 && CHECK_PASSED > 0))
}

check_count() {
    CHECK_PASSED=$((CHECK_PASSED + $1))
    CHECK_FAILED=$((CHECK_FAILED + $2))
    CHECK_SKIPPED=$((CHECK_SKIPPED + ${3:-0}))
}

# check_one NAME CMD...: one test that is a command; its output is of interest only when it fails.
check_one() {
    local name=$1 log
    shift
    log=$CHECK_REPORTS/${name//[^a-z]/-}.log
    if "$@" >"$log" 2>&1; then
        echo "ok $name"
        check_count 1 0
    else
        tail -n 40 "$log"
        echo "not ok $name (all of it in $log)"
        check_count 0 1
    fi
}

check_unit() {
    local program
    local -a programs pids=()
    # The tests themselves run for a moment: what counts is how soon they are compiled.
    check_one "the unit tests build" make -C "$BUILD" -j "$(nproc)" check TESTS= CXXFLAGS="-O0 $COMPILER_MEMORY"
    # Read whole, and nothing on standard input: an mpiexec in a test would read what is left of the list.
    mapfile -t programs < <(make -s -C "$BUILD" print-tests)
    # Two at a time: most of their time they wait.
    for program in "${programs[@]}"; do
        (($(jobs -rp | wc -l) < 2)) || wait -n || true
        (cd "$BUILD" && exec timeout 600 "$program" --gtest_brief=1 \
            "--gtest_output=json:$CHECK_REPORTS/${program##*/}.json") </dev/null >"$CHECK_REPORTS/${program##*/}.log" 2>&1 &
        pids+=($!)
    done
    for program in "${programs[@]}"; do
        check_program "${program##*/}" "${pids[0]}"
        pids=("${pids[@]:1}")
    done
}

# check_program NAME PID: how a program of tests went.
check_program() {
    local code=0
    wait "$2" || code=$?
    cat "$CHECK_REPORTS/$1.log"
    # A crash leaves no report: then the program itself is the test that failed.
    if ((code == 0)) || jq -e '.failures > 0' "$CHECK_REPORTS/$1.json" >/dev/null 2>&1; then
        check_gtest_report "$1" "$CHECK_REPORTS/$1.json"
    else
        echo "not ok $1 ended without a report"
        check_count 0 1
    fi
}

check_gtest_report() {
    local ran failed skipped
    failed=$(jq .failures "$2")
    skipped=$(jq '[.testsuites[].testsuite[] | select(.result == "SKIPPED")] | length' "$2")
    ran=$(jq '[.testsuites[].testsuite[] | select(.status == "RUN")] | length' "$2")
    echo "$1: $((ran - failed - skipped)) passed, $failed failed, $skipped skipped"
    check_count $((ran - failed - skipped)) "$failed" "$skipped"
}

# check_tree NAME OPTION...: a build directory of its own, configured with these.
check_tree() {
    local tree=$LAB/build-$1
    shift
    mkdir -p "$tree"
    [[ $(sed -n 's/^abs_srcdir = //p' "$tree/Makefile" 2>/dev/null) == "$SOURCE" ]] ||
        (cd "$tree" && "$SOURCE/configure" -q --libdir="$LIBDIR" "$@")
}

# Under AddressSanitizer and UndefinedBehaviorSanitizer the words that all share, the plugin's part and the coordinator. The
# bridge's tests run so by hand (configure --enable-sanitizer): they take too long here.
check_sanitize() {
    check_sanitized address address,undefined grl_test spank_test coordinator_test
}

# check_sanitized NAME SANITIZERS PROGRAM...
check_sanitized() {
    local name=$1 tree=$LAB/build-$1 program
    shift
    check_one "the tests build with -fsanitize=$1" check_sanitized_build "$name" "$@" || return 0
    shift
    for program in "$@"; do
        (cd "$tree" && exec timeout 600 "tests/unit/$program" --gtest_brief=1 \
            "--gtest_output=json:$CHECK_REPORTS/$program-$name.json") </dev/null >"$CHECK_REPORTS/$program-$name.log" 2>&1 &
        check_program "$program-$name" $!
    done
}

check_sanitized_build() {
    local name=$1 tree=$LAB/build-$1 sanitizers=$2
    shift 2
    check_tree "$name" --without-xen --without-mpich --enable-sanitizer="$sanitizers" CFLAGS=-O1 CXXFLAGS="-O0 $COMPILER_MEMORY" &&
        make -C "$tree" -j "$(nproc)" grl-master "${@/#/tests/unit/}"
}

# Every harness for a while, from the inputs that the tree has; each is a test.
check_fuzz() {
    local report=$CHECK_REPORTS/fuzz.log tree=$LAB/build-fuzz ok bad
    check_one "the fuzz harnesses build" check_fuzz_build || return 0
    make -s -C "$tree" fuzz "FUZZ_SECONDS=${FUZZ_SECONDS:-20}" | tee "$report" || true
    ok=$(grep -c '^ok ' "$report" || true)
    bad=$(grep -c '^not ok ' "$report" || true)
    ((ok + bad > 0)) || bad=1
    check_count "$ok" "$bad"
}

check_fuzz_build() {
    check_tree fuzz --without-xen --without-mpich --enable-fuzzing CC=clang CXX=clang++ CFLAGS=-O1 CXXFLAGS=-O1 &&
        make -C "$LAB/build-fuzz" -j "$(nproc)" fuzz-programs
}

check_static() {
    check_one "shellcheck finds nothing" check_shell
    check_one "the coordinator's unit exposes little" systemd-analyze security --offline=true --threshold=20 "$SOURCE/dist/grl-coordinator.service"
    check_one "every include follows an arrow" "$SOURCE/tests/arrows" "$SOURCE"
    check_one "clang-tidy finds nothing" make -C "$BUILD" tidy
}

check_shell() {
    (cd "$SOURCE" && shellcheck -x .ci/run tests/lab tests/lab.d/*.sh tests/lab.d/process tests/lab.d/guest/* tests/lab.d/dom0/{bare-restore,bare-save,block,dom0-start,vif-bridge} \
        tests/fuzz/run tests/model/check tests/arrows tests/tidy) &&
        (cd "$SOURCE" && shellcheck -x tests/cluster/*.bats tests/by_hand/*.bats armci_patch/archive armci_patch/grl-config.in)
}

# Each setting of the model is a test.
check_model() {
    local report ok bad code=0
    report=$CHECK_REPORTS/model.log
    "$SOURCE/tests/model/check" | tee "$report" || code=$?
    ok=$(grep -c '^ok ' "$report" || true)
    bad=$(grep -c '^not ok ' "$report" || true)
    ((code == 0 || bad > 0)) || bad=1
    check_count "$ok" "$bad"
}

# With warnings as errors and without what is optional, from the archive that is given away; the tests have run already.
check_distcheck() {
    check_one "make distcheck" make -C "$BUILD" -j "$(nproc)" distcheck check_PROGRAMS= TESTS= \
        DISTCHECK_CONFIGURE_FLAGS="--enable-werror --without-xen CFLAGS=-O1 CXXFLAGS='-O0 $COMPILER_MEMORY'"
}

check_lab() {
    local file
    for file in $(vmm_tests); do check_bats "$SOURCE/tests/$file"; done
    down
}

# The part of the Xen lab's tests that is quick: a lab of its own. All of them: `tests/lab --vmm xen check`.
check_xen() {
    export GRL_LAB_VMM=xen
    check_bats "$SOURCE/tests/cluster/xen.bats" --filter-tags brief
    "$SOURCE/tests/lab" down
    export GRL_LAB_VMM=$VMM
}

# check_bats FILE [OPTION...]
check_bats() {
    local report ok bad skipped code=0
    report=$CHECK_REPORTS/$(basename "$1").tap
    timeout $((900 * VMM_PATIENCE)) bats --formatter tap "$@" | tee "$report" || code=$?
    bad=$(grep -c '^not ok' "$report" || true)
    skipped=$(grep -c '^ok .* # skip' "$report" || true)
    ok=$(($(grep -c '^ok' "$report" || true) - skipped))
    # A file that ended before its tests did, as when its set-up failed.
    ((code == 0 || bad > 0)) || bad=1
    check_count "$ok" "$bad" "$skipped"
}
