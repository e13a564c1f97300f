# Lines that cannot be taken leave the job running to its right result and the earlier line good.
# shellcheck shell=bash disable=SC2154

load ../lab.d/bats

setup_file() {
    lab_for_file
    job_for_file
    in_ctl grlctl checkpoint "$JOB"
}

teardown_file() { cancel_job "$JOB"; }

# The phase in which images flow.
flowing() { [[ $VMM_CAPTURE == live ]] && echo precopy || echo capture; }

@test "a line on demand is committed with a proof of silence" {
    run in_ctl grlctl --json checkpoint "$JOB"
    echo "$output"
    ((status == 0))
    [[ $(jq -r .phase <<<"$output") == "done" ]]
    jq -e "all(.guests[]; .method == \"$VMM_CAPTURE\" or (.note | contains(\"before the job was silent\")))" <<<"$output"
    jq -e ".proof.ranks == ${#GUESTS[@]}"' and .proof.issued == .proof.completed + .proof.deferred' <<<"$output"
    verified "$JOB" "$(jq .line <<<"$output")"
}

# Who is root, with which capabilities, without new privileges, under a filter: the fields of status in their order.
@test "a bridge's processes have the rights that they need" {
    # shellcheck disable=SC2016
    run in_host h1 sh -c 'for p in $(pidof grl-bridge); do
        awk "/^(Uid|CapEff|NoNewPrivs|Seccomp):/ { printf \"%s \", \$2 } END { print \"\" }" "/proc/$p/status"; done'
    echo "$output"
    ((status == 0 && ${#lines[@]} == 3))
    (($(grep -c '^0 [0-9a-f]* 1 2 $' <<<"$output") == 1))
    (($(grep -c '^[1-9][0-9]* 0000000000000000 1 2 $' <<<"$output") == 2))
}

@test "a full checkpoint directory aborts the line and leaves the earlier one good" {
    local before
    before=$(committed "$JOB" | tail -n 1)
    leave_room 8
    run in_ctl grlctl checkpoint "$JOB"
    resize_checkpoints "$CHECKPOINTS_MIB"
    echo "$output"
    ((status != 0))
    [[ $output == *"no room"* ]]
    nothing_lost "$before"
}

@test "a checkpoint directory that fills while the images flow aborts the line" {
    local before
    before=$(committed "$JOB" | tail -n 1)
    # The room that prepare asks for is there, and gone when the images flow.
    in_ctl grlctl checkpoint "$JOB" >"$BATS_TEST_TMPDIR/out" 2>&1 &
    local asked=$!
    wait_for 30 "images of a line" line_reaches "$(flowing)"
    leave_room 4
    end_of_line "$asked"
    resize_checkpoints "$CHECKPOINTS_MIB"
    echo "$output"
    ((status != 0))
    [[ $output == *"space"* ]]
    nothing_lost "$before"
}

@test "a bridge that dies in a line aborts it, and the guests go on" {
    local before
    before=$(committed "$JOB" | tail -n 1)
    in_ctl grlctl checkpoint "$JOB" >"$BATS_TEST_TMPDIR/out" 2>&1 &
    local asked=$!
    wait_for 30 "images of a line" line_reaches "$(flowing)"
    kill_bridge h2
    end_of_line "$asked"
    echo "$output"
    ((status != 0))
    start_bridge h2
    wait_ready "$JOB"
    nothing_lost "$before"
}

# leave_room MIB: of what the checkpoint directory holds now. Images that flow meanwhile can outrun a single attempt:
# the kernel refuses a size below what is used.
leave_room() {
    local used attempts=20
    while ((attempts-- > 0)); do
        used=$(in_lab df -m --output=used "$CHECKPOINTS" | tail -n 1)
        ! resize_checkpoints $((used + $1)) 2>"$BATS_TEST_TMPDIR/resize" || return 0
    done
    cat "$BATS_TEST_TMPDIR/resize"
    return 1
}

# nothing_lost LINE: the job runs, that line of it is good, and so is the next.
nothing_lost() {
    job_runs "$JOB"
    verified "$JOB" "$1"
    in_ctl grlctl checkpoint "$JOB"
}

# end_of_line PID: the status and output of a grlctl started here; `run` would wait in a subshell, whose child it is not.
end_of_line() {
    status=0
    wait "$1" || status=$?
    output=$(cat "$BATS_TEST_TMPDIR/out")
}

# flip JOB LINE: two bytes of g2's image.
flip() {
    local image=$CHECKPOINTS/lab/$1/$2/g2.img
    in_host h1 sh -c "printf '\\377\\376' | dd of='$image' bs=1 seek=100000 conv=notrunc status=none"
}

@test "verify finds a flipped byte, and a restore goes to the line before it and says so" {
    local line before generation
    in_ctl grlctl checkpoint "$JOB"
    in_ctl grlctl checkpoint "$JOB"
    line=$(committed "$JOB" | tail -n 1)
    before=$(committed "$JOB" | tail -n 2 | head -n 1)
    flip "$JOB" "$line"
    fails_with g2 in_ctl grlctl verify "$JOB/$line"
    # Asked for by name it is refused, and the job does not notice.
    fails_with "cannot be restored: g2" in_ctl grlctl restore "$JOB" --line "$line"
    job_runs "$JOB"
    generation=$(in_ctl grlctl --json status | jq ".jobs[] | select(.job == $JOB) | .generation")
    run in_ctl grlctl --json restore "$JOB"
    echo "$output"
    ((status == 0))
    jq -e ".line == $before and .generation > $generation" <<<"$output"
    jq -e "any(.notes[]; contains(\"line $line was passed over: g2\"))" <<<"$output"
    wait_ready "$JOB"
    in_ctl grlctl delete "$JOB/$line"
    nothing_lost "$before"
}

@test "a coordinator that is restarted between lines goes on" {
    local before
    in_ctl grlctl checkpoint "$JOB"
    before=$(committed "$JOB")
    kill_coordinator
    start_coordinator
    wait_ready "$JOB"
    [[ $(committed "$JOB") == "$before" ]]
    in_ctl grlctl checkpoint "$JOB"
}

@test "guests are captured live where the configuration says so, and restored" {
    local attempts=6
    [[ $VMM_CAPTURE != live ]] || skip "they are in all tests"
    kill_coordinator
    GRL_LAB_CAPTURE=live start_coordinator
    wait_ready "$JOB"
    # An idle guest has so little left at times that its VMM stops it before the silence.
    while ((attempts-- > 0)); do
        run in_ctl grlctl --json checkpoint "$JOB"
        echo "$output"
        ((status == 0))
        ! jq -e 'any(.guests[]; .method == "live")' <<<"$output" || break
    done
    ((attempts >= 0))
    in_ctl grlctl restore "$JOB"
    kill_coordinator
    start_coordinator
    wait_ready "$JOB"
}

@test "a lost catalog is rebuilt from the manifests" {
    local before
    before=$(committed "$JOB")
    kill_coordinator
    in_ctl sh -c "rm -f '$LAB'/ctl/grl/catalog.db*"
    start_coordinator
    wait_ready "$JOB"
    [[ $(committed "$JOB") == "$before" ]]
    in_ctl grlctl checkpoint "$JOB"
}

# Last, as the file's job makes room for one that ends.
@test "a job whose newest line is damaged goes back to the line before and comes to its right result" {
    local job line
    cancel_job "$JOB"
    job=$(start_job --grl-checkpoint "--iterations 60 --pause-us 20000")
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    in_ctl grlctl checkpoint "$job"
    line=$(committed "$job" | tail -n 1)
    flip "$job" "$line"
    run in_ctl grlctl restore "$job"
    echo "$output"
    ((status == 0))
    [[ $output == *"line $line was passed over: g2"* ]]
    right_result "$job"
}

@test "after a restore no srun waits for a step that began after the line" {
    local job
    cancel_job "$JOB"
    job=$(submit -N "${#GUESTS[@]}" --ntasks-per-node=1 -t 10 -o /tmp/job-%j.out --grl-checkpoint <<-'E'
	#!/bin/bash
	srun /opt/grl/pgas_demo --iterations 60 --pause-us 20000
	srun /opt/grl/pgas_demo --iterations 60 --pause-us 20000
	E
    )
    wait_ready "$job"
    in_ctl grlctl checkpoint "$job"
    wait_for 120 "the second step" second_step_runs "$job"
    in_ctl grlctl restore "$job"
    right_result "$job"
    (($(job_output "$job" | grep -c '^checksum') == 2))
}

second_step_runs() { [[ $(in_ctl squeue -h -s -j "$1" -o %i) == *"$1.1"* ]]; }
