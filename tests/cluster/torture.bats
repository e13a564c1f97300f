# Another's program is brought into the guests and does there with lines what it does without.
# shellcheck shell=bash disable=SC2154

export GRL_LAB_NODES=native
load ../lab.d/bats

torture_of() { run "$SOURCE/tests/lab" torture "$@" </dev/null; echo "$output"; }

@test "a program does the same with rehearsals as without" {
    torture_of -N 2 -- "$BUILD/tests/programs/mpi_mix" --iterations 20 --pause-us 50000
    ((status == 0))
    [[ $output == *" 0/0 yes "*"  same"* ]]
    (($(jq -s 'map(select(.phase == "done")) | length' "$LAB/torture/001/run1/rehearsals.json") > 3))
}

@test "what differs is told, and a program that ends at once is no failure" {
    local list=$BATS_TEST_TMPDIR/list script=$BATS_TEST_TMPDIR/differs
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/bash' 'echo "$0 with ${GRL_PAGE:+GRL}${LD_PRELOAD:+ and a library}"; cat; exit 3' >"$script"
    chmod 755 "$script"
    echo "some input" >"$BATS_TEST_TMPDIR/input"
    printf '%s\n' "-N 1 -- $script" "-N 1 --stdin $BATS_TEST_TMPDIR/input --ignore ' with ' -- $script" >"$list"
    # shellcheck disable=SC2016
    printf '%s\n' '#!/bin/bash' 'echo begin; echo $RANDOM $RANDOM $RANDOM; echo end' >"$script.varies"
    chmod 755 "$script.varies"
    echo "-N 1 -- $script.varies" >>"$list"
    torture_of --list "$list"
    ((status == 1))
    [[ $output == *DIFFERS*"too short"*"1 lines that vary without GRL"* ]]
    grep -q 'some input' "$LAB/torture/002/run1/out/0.out"
}
