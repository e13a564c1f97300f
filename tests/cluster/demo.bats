# The README's main command does what the README says.
# shellcheck shell=bash disable=SC2154

load ../lab.d/bats

@test "a job survives the death of a host with the same result" {
    run "$SOURCE/tests/lab" demo
    echo "$output"
    ((status == 0))
    [[ ${lines[-1]} == "verdict: survived" ]]
}
